//! End to end: the real executable, real files, real signals, and the emulator on a real socket.
//!
//! Processes are brought to a known point by a call that the emulator holds, never by waiting a while.

mod admission;
mod changed_inputs;
mod confirmation;
mod credentials;
mod disk;
mod formats;
mod guards;
mod hold_list;
mod hostile_input;
mod invalid_rows;
mod learned_quotas;
mod manual;
mod network;
mod outages;
mod output;
mod plan;
mod pool_lookup_proxy;
mod rehearsal;
mod replies;
mod results_as_input;
mod resume;
mod row_limit;
mod sandbox;
mod saved_plan;
mod signals;
mod single_call;
mod stalled_calls;
mod stop_reasons;
mod system_limits;
mod torn_rows;
mod verdicts;
