//! The C ABI as C++ hosts see it, each in a process of its own. They run one at a
//! time: lanes spin.

mod header;
mod processes;
mod refused;
mod reports;
mod scenarios;
mod strategy_churn;
mod wrapper;
