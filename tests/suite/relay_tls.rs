//! `lastseat relay` to a receiver that speaks TLS: it is told if somebody who is believed vouches for
//! it, and otherwise nothing, however often it is tried. (The certificates in tls/ are for 127.0.0.1, for a
//! hundred years, and made with openssl; the key of the authority was thrown away.)

use super::contract_support::{run, sell, unlimited};
use super::relay::{Receiver, Relay};
use crate::support::{PATIENCE, wait_until};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/suite/tls")
        .join(name)
}

/// One that shows the certificate of `tls/receiver.pem`.
fn receiver() -> Receiver {
    let certificate = CertificateDer::from_pem_file(file("receiver.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(file("receiver.key")).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let config = Arc::new(config.with_single_cert(vec![certificate], key).unwrap());
    let wrap = move |stream: TcpStream| {
        StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream)
    };
    Receiver::speaking("https", wrap, |_| Some((204, String::new())))
}

#[test]
fn a_receiver_is_told_over_tls_if_one_s_own_authority_vouches_for_it() {
    let (server, receiver, folder) = (unlimited(), receiver(), tempfile::tempdir().unwrap());
    let event = server.create_event("Concert", 5);
    sell(&server, event, "ada@example.com");
    let authority = file("ca.pem");
    let authority = authority.to_str().unwrap();
    let flags = ["--event", "all", "--ca-file", authority];
    let _relay = Relay::start(folder.path(), &server, &receiver, &flags);
    receiver.wait_for(event, 2);
}

#[test]
fn a_receiver_whom_nobody_vouches_for_is_told_nothing_and_tried_again() {
    let (server, receiver, folder) = (unlimited(), receiver(), tempfile::tempdir().unwrap());
    server.create_event("Concert", 5);
    let relay = Relay::start(folder.path(), &server, &receiver, &["--event", "all"]);
    let refusals = || relay.log().matches("certificate").count();
    assert!(wait_until(PATIENCE, || refusals() >= 2), "{}", relay.log());
    assert!(receiver.told().is_empty());
}

#[test]
fn a_file_of_authorities_has_at_least_one_in_it() {
    let key = file("receiver.key");
    for (path, says) in [
        (key.to_str().unwrap(), "there is no certificate in it"),
        ("/no/such/file", "No such file"),
    ] {
        let refused = run(
            &[
                "relay",
                "--event",
                "1",
                "--to",
                "https://a.example",
                "--secret",
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                "--ca-file",
                path,
            ],
            &[],
        );
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        assert!(refused.stderr.contains(says), "{refused:?}");
    }
}
