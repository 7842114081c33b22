//! `sellcast`: the command line. It reads the configuration, picks the backends and wires the crates together.

mod commands;
mod config;
mod engine;
mod folder;
mod jobs;
mod live_scores;
mod model_files;
mod online;
mod progress;
mod replay;
mod stores;
mod stream;
mod training;
mod what_if;

use std::process::ExitCode;

use clap::Parser;
use commands::Cli;

/// The system's allocator keeps what a night's threads gave back: the demo's process held 9.9 GB at the end of its December, of
/// which 1.7 GB were in use.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Quiet about what is no fault: the kernel reports every table that does not exist yet as an error, Delta's merge a figure that it
/// works out by itself, and the driver of Cassandra every attempt that is then made elsewhere.
const LOG: &str = "warn,sellcast=info,sqlx=error,scylla=off,buoyant_kernel=off,delta_kernel=off,buoyant_kernel_engine=off,\
                   deltalake_core::operations::merge=error";

/// After how many milliseconds memory that nothing uses goes back to the system. By default after one second, only to be
/// asked for again by the next training: a sixth of a back-test's processor time went into pages handed over anew.
const PURGE_DELAY: (&str, &str) = ("MIMALLOC_PURGE_DELAY", "60000");

/// Begins the process again with [`PURGE_DELAY`] in its environment, unless it is set: the allocator reads it before `main`.
#[cfg(unix)]
fn keep_memory_longer() {
    use std::os::unix::process::CommandExt;

    let (name, delay) = PURGE_DELAY;
    if std::env::var_os(name).is_none()
        && let Ok(program) = std::env::current_exe()
    {
        let error = std::process::Command::new(program).args(std::env::args_os().skip(1)).env(name, delay).exec();
        // Only slower: nothing a user could mend.
        tracing::debug!(%error, "the program could not be started again");
    }
}

fn main() -> ExitCode {
    #[cfg(unix)]
    keep_memory_longer();
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| LOG.into()))
        .with_writer(std::io::stderr)
        .with_target(true)
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("sellcast: cannot start the runtime: {error}");
            return ExitCode::from(1);
        }
    };
    let result = runtime.block_on(commands::run(cli));
    // Readers of a store may still be parsing on the blocking pool; nothing of theirs needs to be kept.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("sellcast: {}", commands::chain(&failure.error));
            ExitCode::from(failure.code)
        }
    }
}
