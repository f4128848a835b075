//! The program; all of it is in the library.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A call makes about three hundred allocations, many of them freed by another thread: with the system allocator threads wait for
/// each other, and throughput drops by a quarter. Huge pages are off, since they double the memory.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    cognito_unlink::main()
}
