//! Whose certificates are believed.

use std::sync::Arc;

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// Authorities of one's own, instead of those whom browsers know.
#[derive(Clone, Debug)]
pub struct Authorities(Arc<Vec<Certificate<'static>>>);

impl Authorities {
    /// From a file with one certificate or several, as PEM.
    pub fn read(path: &str) -> Result<Authorities, String> {
        let pem = std::fs::read(path).map_err(|e| e.to_string())?;
        let items: Result<Vec<PemItem>, _> = parse_pem(&pem).collect();
        let items = items.map_err(|e| e.to_string())?;
        let certificates = items.into_iter().filter_map(|item| match item {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        });
        let certificates: Vec<Certificate> = certificates.collect();
        match certificates.is_empty() {
            true => Err("there is no certificate in it (-----BEGIN CERTIFICATE-----)".to_owned()),
            false => Ok(Authorities(Arc::new(certificates))),
        }
    }
}

pub fn tls(authorities: Option<&Authorities>) -> TlsConfig {
    let roots = authorities.map_or(RootCerts::WebPki, |own| RootCerts::Specific(own.0.clone()));
    TlsConfig::builder().root_certs(roots).build()
}
