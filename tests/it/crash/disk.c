/* A disk that remembers: preloaded into the gateway, it writes down what is done to the files of one folder, in order,
 * so that the disk can be built as a power cut might leave it. Nothing here decides what is lost; see disk.rs.
 *
 * A record is: operation (1 byte), length of the path (2), offset (8), length of the data (4), path, data; little
 * endian. It is written after the operation and before the caller goes on, under one lock, so whatever a caller knows
 * to be done is in the log. Syncs take a moment and are only noted: the log is the disk.
 *
 *   PATCHCORD_DISK       the folder
 *   PATCHCORD_DISK_LOG   where the records go
 *   PATCHCORD_DISK_LIES  set: syncs are answered and not noted, as by a disk that lies
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILES 65536

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static char *paths[FILES]; /* of the folder's open files, by descriptor */
static const char *folder;
static size_t folder_length;
static int records = -1;
static int lies;

__attribute__((constructor)) static void begin(void) {
    const char *log = getenv("PATCHCORD_DISK_LOG");
    folder = getenv("PATCHCORD_DISK");
    lies = getenv("PATCHCORD_DISK_LIES") != NULL;
    if (folder && log) {
        folder_length = strlen(folder);
        records = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
}

/* The map of shared memory is not durable, and not of interest. */
static int inside(const char *path) {
    size_t length = strlen(path);
    if (records < 0 || strncmp(path, folder, folder_length) != 0) return 0;
    return length < 4 || strcmp(path + length - 4, "-shm") != 0;
}

static const char *path_of(int fd) { return fd >= 0 && fd < FILES ? paths[fd] : NULL; }

static void note(char operation, const char *path, uint64_t offset, const void *data, uint32_t length) {
    unsigned char head[15];
    uint16_t path_length = (uint16_t)strlen(path);
    head[0] = (unsigned char)operation;
    memcpy(head + 1, &path_length, 2);
    memcpy(head + 3, &offset, 8);
    memcpy(head + 11, &length, 4);
    struct iovec parts[3] = {{head, sizeof head}, {(void *)path, path_length}, {(void *)data, length}};
    if (syscall(SYS_writev, records, parts, 3) != (long)(sizeof head + path_length + length)) abort();
}

static int opened(int fd, int flags, int existed) {
    char link[64], path[4096];
    int kept = errno;
    if (fd < 0 || fd >= FILES || records < 0) return fd;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    free(paths[fd]);
    paths[fd] = NULL;
    if (length > 0) {
        path[length] = 0;
        if (inside(path)) {
            paths[fd] = strdup(path);
            if (!existed) note('C', path, 0, NULL, 0);
            else if (flags & O_TRUNC) note('T', path, 0, NULL, 0);
        }
    }
    errno = kept;
    return fd;
}

static int open_at(int at, const char *path, int flags, mode_t mode) {
    pthread_mutex_lock(&turn);
    int kept = errno, existed = !(flags & O_CREAT) || faccessat(at, path, F_OK, 0) == 0;
    errno = kept;
    int fd = opened((int)syscall(SYS_openat, at, path, flags, mode), flags, existed);
    pthread_mutex_unlock(&turn);
    return fd;
}

#define MODE                                                                                                           \
    mode_t mode = 0;                                                                                                   \
    if (flags & (O_CREAT | O_TMPFILE)) {                                                                               \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode = va_arg(rest, mode_t);                                                                                   \
        va_end(rest);                                                                                                  \
    }
int open(const char *path, int flags, ...) { MODE return open_at(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE return open_at(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE return open_at(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE return open_at(at, path, flags, mode); }
int creat(const char *path, mode_t mode) { return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

int close(int fd) {
    pthread_mutex_lock(&turn);
    if (path_of(fd)) {
        free(paths[fd]);
        paths[fd] = NULL;
    }
    int result = (int)syscall(SYS_close, fd);
    pthread_mutex_unlock(&turn);
    return result;
}

static ssize_t write_at(int fd, const void *data, size_t length, off_t offset) {
    pthread_mutex_lock(&turn);
    ssize_t done = syscall(SYS_pwrite64, fd, data, length, offset);
    if (done > 0) note('W', path_of(fd), (uint64_t)offset, data, (uint32_t)done);
    pthread_mutex_unlock(&turn);
    return done;
}
ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) {
    if (path_of(fd)) return write_at(fd, data, length, offset);
    return syscall(SYS_pwrite64, fd, data, length, offset);
}
ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) { return pwrite(fd, data, length, offset); }

ssize_t write(int fd, const void *data, size_t length) {
    if (!path_of(fd)) return syscall(SYS_write, fd, data, length);
    off_t offset = lseek(fd, 0, SEEK_CUR);
    ssize_t done = write_at(fd, data, length, offset);
    if (done > 0) lseek(fd, offset + done, SEEK_SET);
    return done;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (!path_of(fd)) return syscall(SYS_writev, fd, parts, count);
    return count > 0 ? write(fd, parts[0].iov_base, parts[0].iov_len) : 0; /* a short write is allowed */
}

int ftruncate(int fd, off_t length) {
    if (!path_of(fd)) return (int)syscall(SYS_ftruncate, fd, length);
    pthread_mutex_lock(&turn);
    int result = (int)syscall(SYS_ftruncate, fd, length);
    if (result == 0) note('T', path_of(fd), (uint64_t)length, NULL, 0);
    pthread_mutex_unlock(&turn);
    return result;
}
int ftruncate64(int fd, off64_t length) { return ftruncate(fd, length); }

static int synced(int fd) {
    usleep(3000); /* as a disk takes its time, in which the power may go */
    if (lies) return 0;
    pthread_mutex_lock(&turn);
    note('S', path_of(fd), 0, NULL, 0);
    pthread_mutex_unlock(&turn);
    return 0;
}
int fsync(int fd) { return path_of(fd) ? synced(fd) : (int)syscall(SYS_fsync, fd); }
int fdatasync(int fd) { return path_of(fd) ? synced(fd) : (int)syscall(SYS_fdatasync, fd); }

int unlink(const char *path) {
    pthread_mutex_lock(&turn);
    int result = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (result == 0 && inside(path)) note('U', path, 0, NULL, 0);
    pthread_mutex_unlock(&turn);
    return result;
}

int mkdir(const char *path, mode_t mode) {
    pthread_mutex_lock(&turn);
    int result = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    if (result == 0 && inside(path)) note('D', path, 0, NULL, 0);
    pthread_mutex_unlock(&turn);
    return result;
}

/* What the model does not know must not pass unseen. */
static int unknown(const char *path) {
    if (inside(path)) note('?', path, 0, NULL, 0);
    return 0;
}
int rename(const char *from, const char *to) {
    unknown(to);
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}
int posix_fallocate(int fd, off_t offset, off_t length) {
    if (path_of(fd)) unknown(path_of(fd));
    return syscall(SYS_fallocate, fd, 0, offset, length) == 0 ? 0 : errno;
}
int posix_fallocate64(int fd, off64_t offset, off64_t length) { return posix_fallocate(fd, offset, length); }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    if (path_of(fd)) unknown(path_of(fd));
    return syscall(SYS_pwritev, fd, parts, count, (long)offset, 0L);
}
