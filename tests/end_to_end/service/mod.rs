//! A service with the runners and the NATS that it may have: what it promises, and what it endures.

pub(crate) mod contract;
mod deleted;
mod external;
pub(crate) mod fleet;
mod full_disk;
mod importance;
mod insight;
mod managed;
mod nats;
mod predict;
mod proxy;
mod runners;
mod torture;
mod upgrade;
