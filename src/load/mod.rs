//! Files on disk to plans and channels.
//!
//! Reading is the only thing here that touches the disk; every problem of every file is collected, with its
//! place, before anything is handed out.

mod family;
mod installation;
mod judgement;
mod mappings;
mod merge;
mod server;
mod tables;
#[cfg(test)]
mod tests;

pub use installation::{
    AdminSettings, ChannelSettings, MediaSettings, Settings, check_installation, is_loopback, read_admin,
    read_installation, survey_installation,
};
pub use mappings::{Library, Loaded, mapping_files, read_source, test_file_of};
pub use server::ServerSettings;
