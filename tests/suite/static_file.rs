//! The static file of `make static`, in a folder with nothing else in it but a folder for the
//! database, as a user who may write nowhere but there; and as an image for containers. Ignored unless
//! asked for, because the file takes minutes to build and chroot(8) takes root.

use crate::support::{PATIENCE, Server, ServerBuilder, is_alive, signal, wait_until};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

const NOBODY: u32 = 65_534;

/// By another program: if this one wrote it, a process that another test starts meanwhile could hold
/// it open for writing, and it could not be run.
fn copy_static_file(to: &Path) {
    let built = std::env::var("STATIC_FILE").expect("STATIC_FILE: the path of the static file");
    let copied = Command::new("cp").arg(built).arg(to).status();
    assert!(copied.unwrap().success());
}

#[test]
#[ignore = "needs a static file: make static"]
fn static_file_runs_in_an_empty_folder_as_nobody() {
    let root = tempfile::tempdir().unwrap();
    let mode = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode));
    copy_static_file(&root.path().join("lastseat"));
    let data = root.path().join("data");
    std::fs::create_dir(&data).unwrap();
    chown(&data, Some(NOBODY), Some(NOBODY)).unwrap();
    mode(root.path(), 0o555).unwrap();

    let folder = root.path().to_str().unwrap();
    let server = Server::builder()
        .through(&["chroot", "--userspec=65534:65534", folder])
        .binary("/lastseat")
        .db("/data/events.db")
        .rate_limit_off()
        .start();
    let event = server.create_event("Harbour walk", 3);
    let ticket = server.register(event, "a@example.com").expect_status(201);
    let pid = server.server_pid();
    let owner = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(
        owner.contains("Uid:\t65534\t65534\t65534\t65534"),
        "{owner}"
    );

    // The keeper finds the program again, without a /proc to ask.
    signal(pid, "KILL");
    assert!(wait_until(PATIENCE, || !is_alive(pid)));
    let ticket = format!("/tickets/{}", ticket.text("ticket_id"));
    server.get(&ticket).expect_status(200);
    server.register(event, "b@example.com").expect_status(201);
    server.sigterm();
    assert_eq!(server.wait(PATIENCE).code(), Some(0), "{}", server.log());

    let names = |folder: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap().flatten();
        let mut names: Vec<_> = entries
            .map(|e| e.file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(root.path()), ["data", "lastseat"]);
    assert!(
        names(&data)
            .iter()
            .all(|name| name.starts_with("events.db"))
    );
}

/// Debian's buildah, with images and containers in a folder of its own.
struct Buildah(TempDir);

impl Buildah {
    fn words(&self) -> Vec<String> {
        let folder = |name| self.0.path().join(name).display().to_string();
        let (root, run) = (folder("root"), folder("run"));
        let words = [
            "buildah",
            "--storage-driver",
            "vfs",
            "--root",
            &root,
            "--runroot",
            &run,
        ];
        words.map(str::to_owned).to_vec()
    }

    fn run(&self, arguments: &[&str]) -> std::io::Result<Output> {
        let words = self.words();
        Command::new(&words[0])
            .args(&words[1..])
            .args(arguments)
            .output()
    }

    /// What it prints, without the end of the line.
    #[track_caller]
    fn must(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Some of what it needs is not had everywhere, as in a container without rights.
    fn works(&self) -> bool {
        let from_nothing = ["from", "--name", "probe", "scratch"];
        let works = |arguments: &[&str]| self.run(arguments).is_ok_and(|o| o.status.success());
        works(&from_nothing) && works(&["mount", "probe"])
    }
}

#[test]
#[ignore = "needs a static file: make static"]
fn static_file_serves_from_its_image_and_makes_keys_there() {
    let buildah = Buildah(tempfile::tempdir().unwrap());
    if !buildah.works() {
        // Past the test's captured output: nobody should take it for done.
        let why = "NOT TESTED: tests/front/Dockerfile (there is no buildah that works here)";
        return writeln!(std::io::stderr(), "{why}").unwrap();
    }
    let context = tempfile::tempdir().unwrap();
    std::fs::create_dir(context.path().join("data")).unwrap();
    copy_static_file(&context.path().join("lastseat"));
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/front/Dockerfile");
    let folder = context.path().to_str().unwrap();
    buildah.must(&[
        "bud",
        "--isolation",
        "chroot",
        "-t",
        "lastseat",
        "-f",
        file,
        folder,
    ]);
    let container = buildah.must(&["from", "localhost/lastseat"]);
    let of_image = |what: &str| buildah.must(&["inspect", "--format", what, &container]);
    let entry = of_image("{{index .OCIv1.Config.Entrypoint 0}}");
    assert_eq!(entry, "/lastseat");
    assert_eq!(of_image("{{.OCIv1.Config.User}}"), "65534:65534");

    // As a container runs it: its root, user and variables, but for a port of the test's own. (Under
    // `buildah run` a server would outlive the test, and each run have a /data of its own.)
    let root = buildah.must(&["mount", &container]);
    let enter = ["chroot", "--userspec=65534:65534", &root];
    let variables = of_image("{{range .OCIv1.Config.Env}}{{println .}}{{end}}");
    let variables: Vec<_> = variables
        .lines()
        .map(|line| line.split_once('=').unwrap())
        .chain([("LASTSEAT_LISTEN", "127.0.0.1:0")])
        .collect();
    let server = Server::builder().through(&enter).binary(&entry).bare();
    let with = |server: ServerBuilder, (name, value): &(&str, &str)| server.env(name, value);
    let server = variables.iter().fold(server, with).start();
    assert!(server.ready_line().ends_with("(database /data/events.db)"));

    let key = Command::new(enter[0])
        .args(&enter[1..])
        .args([&*entry, "key", "add", "--role", "organizer"])
        .args(["--name", "Box office"])
        .envs(variables)
        .output()
        .unwrap();
    let key = String::from_utf8(key.stdout).unwrap();
    let create = |key: &str| {
        let headers = [("Authorization", key)];
        let body = Some(r#"{"name":"Harbour walk","total_spots":3}"#);
        server.client().request("POST", "/events", &headers, body)
    };
    create("Bearer of nothing").expect_problem(401, "unauthorized");
    create(&format!("Bearer {}", key.trim())).expect_status(201);
}
