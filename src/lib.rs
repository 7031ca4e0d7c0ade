//! Patchcord connects any messaging provider to IS-Messenger as a Custom Channel: one YAML mapping per
//! provider, one generic runtime.
//!
//! The modules, in the order in which data flows:

pub mod memory;
pub mod message;
pub mod world;

pub mod diagnostic;
pub mod yaml;

pub mod expression;

pub mod wire;

pub mod spec;

pub mod compile;

pub mod plan;

pub mod load;

pub mod pipeline;

pub mod platform;

pub mod call;

pub mod media;

pub mod rehearsal;

pub mod reference;

pub mod store;

pub mod delivery;

pub mod gateway;

pub mod server;

pub mod sandbox;

pub mod cli;
