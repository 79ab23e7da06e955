//! The C ABI as C++ hosts see it, each in its own process. They run one at a time, because
//! lanes spin.

mod departure;
mod exits;
mod files;
mod header;
mod names;
mod others;
mod processes;
mod refused;
mod reports;
mod scenarios;
mod sources;
mod started;
mod strategy_churn;
mod values;
mod wrapper;
