//! A lastseat node: the real program, with its keeper, on a port that haproxy knows.

use crate::support::Server;

pub struct Node {
    listen: String,
    database: String,
    server: Option<Server>,
}

impl Node {
    pub fn start(listen: &str, database: &str) -> Node {
        let mut node = Node {
            listen: listen.to_owned(),
            database: database.to_owned(),
            server: None,
        };
        node.restart();
        node
    }

    pub fn restart(&mut self) {
        self.server = None;
        let builder = Server::builder().listen(&self.listen).db(&self.database);
        let server = builder
            .rate_limit_off()
            .args(["--log-level", "warn", "--hold", "1h"])
            .start();
        self.server = Some(server);
    }

    pub fn kill9(&self) {
        self.server().kill9();
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("it is running")
    }
}
