//! The PostgreSQL server that all tests use: the one that `PATCHCORD_TEST_POSTGRES` names, or one on this machine.

use tokio::runtime::Builder;
use tokio_postgres::NoTls;

/// Its address, if it answers. That there is none is said loudly, and may not be where somebody named one, or in CI.
pub fn server() -> Option<String> {
    let given = std::env::var("PATCHCORD_TEST_POSTGRES").ok().filter(|address| !address.is_empty());
    let address = given.clone().unwrap_or_else(|| "postgres://root@127.0.0.1:5432/test".to_owned());
    let asked = address.clone();
    let connect = move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { tokio_postgres::connect(&asked, NoTls).await.map(drop) })
    };
    // On a thread of its own, since whoever asks may be on a runtime.
    match std::thread::spawn(connect).join().unwrap() {
        Ok(()) => Some(address),
        Err(error) => {
            let is_wanted = given.is_some() || std::env::var_os("CI").is_some();
            assert!(!is_wanted, "no PostgreSQL to test with: {error}");
            eprintln!("SKIPPED: no PostgreSQL to test with ({error}); set PATCHCORD_TEST_POSTGRES");
            None
        }
    }
}
