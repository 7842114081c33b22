//! Child processes: their end is seen, their output kept, and a page that never answers is told apart from a crash.

use std::time::{Duration, Instant};

use sellcast_testkit::{Program, TestDir, free_port};

fn shell(folder: &TestDir, script: &str) -> Program {
    Program::start("sh", "shell", folder.path(), ["-c", script]).expect("a shell")
}

#[tokio::test]
async fn a_program_that_ends_before_it_answers_is_reported_with_its_last_words() {
    let folder = TestDir::new("program").expect("a folder");
    let url = format!("http://127.0.0.1:{}/", free_port().expect("a port"));
    let mut program = shell(&folder, "echo port taken >&2; exit 3");
    let started = Instant::now();
    let error = format!("{:#}", program.wait_for(&url, Duration::from_secs(30)).await.expect_err("no answer"));
    assert!(error.contains("exit status: 3") && error.contains("port taken"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_program_that_never_answers_is_given_up() {
    let folder = TestDir::new("program").expect("a folder");
    let url = format!("http://127.0.0.1:{}/", free_port().expect("a port"));
    let mut program = shell(&folder, "echo starting; exec sleep 60");
    let error = format!("{:#}", program.wait_for(&url, Duration::from_millis(300)).await.expect_err("no answer"));
    assert!(error.contains("in vain") && error.contains("starting"), "{error}");
}

#[tokio::test]
async fn terminating_is_polite_and_killing_is_not() {
    let folder = TestDir::new("program").expect("a folder");
    let script = "trap 'echo goodbye; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
    let mut program = shell(&folder, script);
    sellcast_testkit::until("the trap", Duration::from_secs(10), || async { program.stdout().contains("ready") }).await.expect("ready");
    let status = program.terminate(Duration::from_secs(10)).await.expect("an end");
    assert_eq!(status.code(), Some(7));
    assert!(program.stdout().contains("goodbye"));

    let mut program = shell(&folder, script);
    sellcast_testkit::until("the trap", Duration::from_secs(10), || async { program.stdout().contains("ready") }).await.expect("ready");
    program.kill_9().await.expect("a kill");
    assert!(!program.stdout().contains("goodbye"));
}

#[tokio::test]
async fn a_failed_test_keeps_its_folder() {
    let path = std::thread::spawn(|| {
        let folder = TestDir::new("kept").expect("a folder");
        let path = folder.path().to_owned();
        let failure = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _folder = folder;
            panic!("on purpose");
        }));
        assert!(failure.is_err());
        path
    })
    .join()
    .expect("a path");
    assert!(path.is_dir());
    std::fs::remove_dir_all(&path).expect("a clean table");
    let folder = TestDir::new("gone").expect("a folder");
    let path = folder.path().to_owned();
    drop(folder);
    assert!(!path.exists());
}
