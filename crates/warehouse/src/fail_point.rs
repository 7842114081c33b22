//! Named places where a run can be made to die, as by `kill -9`, to show that the next run makes it good.

/// Aborts the process if the environment says `SELLCAST_FAIL_AT=<name>`.
pub fn fail_point(name: &str) {
    if std::env::var_os("SELLCAST_FAIL_AT").is_some_and(|at| at == name) {
        tracing::error!(fail_point = name, "dying as told");
        std::process::abort();
    }
}
