//! The program; all of it is in the library.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A call takes some three hundred allocations, and many are freed by another thread: with the system's allocator threads wait
/// for each other, and a run does a quarter less. Huge pages are off, as they take twice the memory.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    cognito_unlink::main()
}
