//! A shell to type commands into, in a folder of its own with the real `lastseat`.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tempfile::TempDir;

/// Is printed after each command, and by none.
const DONE: &str = "\u{1e}";
/// A command may make and verify something.
const COMMAND_TAKES: Duration = Duration::from_secs(60);

pub struct Shell {
    bash: Child,
    printed: Receiver<String>,
    _folder: TempDir,
}

impl Shell {
    pub fn start() -> Shell {
        let folder = tempfile::tempdir().unwrap();
        let program = std::path::Path::new(env!("CARGO_BIN_EXE_lastseat"));
        let path = std::env::var("PATH").unwrap_or_default();
        std::fs::write(folder.path().join(".curlrc"), "silent\nshow-error\n").unwrap();
        let mut bash = Command::new("bash")
            .args(["--noprofile", "--norc"])
            .current_dir(folder.path())
            .env("CURL_HOME", folder.path())
            .env("LC_ALL", "C.UTF-8")
            .env("LASTSEAT_LOG_LEVEL", "off")
            // Any free port; the server says which.
            .env("LASTSEAT_LISTEN", "127.0.0.1:0")
            .env(
                "PATH",
                format!("{}:{path}", program.parent().unwrap().display()),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // What is started from here ends with it.
            .process_group(0)
            .spawn()
            .expect("bash");
        let (sender, printed) = channel();
        let mut stdout = bash.stdout.take().unwrap();
        std::thread::spawn(move || {
            let mut bytes = [0; 4_096];
            while let Ok(length @ 1..) = stdout.read(&mut bytes) {
                let _ = sender.send(String::from_utf8_lossy(&bytes[..length]).into_owned());
            }
        });
        let mut shell = Shell {
            bash,
            printed,
            _folder: folder,
        };
        shell.type_in("exec 2>&1");
        shell
    }

    /// A server that the page says nothing of. Returns what it says itself.
    pub fn serve(&mut self) -> String {
        self.type_in("lastseat > listening &");
        let ended = "{ kill -0 $! || { wait $!; echo ended with $?; break; }; }";
        let wait = format!("until grep -s listening listening; do sleep 0.02; {ended}; done");
        self.type_in(&wait)
    }

    /// What it prints, without the carriage returns of HTTP.
    pub fn type_in(&mut self, command: &str) -> String {
        let stdin = self.bash.stdin.as_mut().unwrap();
        let typed = format!("{{ {command}\n}} </dev/null\nprintf '{DONE}'\n");
        stdin.write_all(typed.as_bytes()).unwrap();
        let mut printed = String::new();
        while !printed.contains(DONE) {
            let more = self.printed.recv_timeout(COMMAND_TAKES);
            printed += &more.unwrap_or_else(|e| panic!("$ {command}: {e}: {printed}"));
        }
        printed.replace(DONE, "").replace('\r', "")
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let group = nix::unistd::Pid::from_raw(self.bash.id() as i32);
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGTERM);
        drop(self.bash.stdin.take());
        let _ = self.bash.wait();
    }
}
