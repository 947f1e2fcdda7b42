//! `GET /openapi.json` lacks nothing: every route of the router, every problem there is.

use super::contract_support::{send, unlimited};
use crate::support::Server;
use serde_json::Value;
use std::collections::BTreeSet;

fn document(server: &Server) -> Value {
    let response = send(server, "GET", "/openapi.json", &[], None).expect_status(200);
    assert_eq!(response.header("Content-Type"), Some("application/json"));
    response.json()
}

/// Method and path of every endpoint, as the router itself lists them at `/`.
fn endpoints(server: &Server) -> BTreeSet<(String, String)> {
    let index = send(server, "GET", "/", &[], None).expect_status(200).body;
    let words = index
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let is_endpoint = |w: &Vec<&str>| {
        w.len() >= 3 && w[1].starts_with('/') && w[0].chars().all(|c| c.is_ascii_uppercase())
    };
    words
        .filter(is_endpoint)
        .map(|w| (w[0].to_lowercase(), w[1].to_owned()))
        .collect()
}

/// What a reference within the document stands for.
fn resolve<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    match value["$ref"].as_str() {
        Some(reference) => document
            .pointer(&reference[1..])
            .unwrap_or_else(|| panic!("{reference} leads nowhere")),
        None => value,
    }
}

fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let of_path = |(path, methods): (&String, &'_ Value)| -> Vec<(String, String)> {
        let methods = methods.as_object().expect("methods");
        methods
            .keys()
            .map(|method| (method.clone(), path.clone()))
            .collect()
    };
    let named: Vec<(String, String)> = paths.iter().flat_map(of_path).collect();
    named
        .into_iter()
        .map(|(method, path)| {
            let operation = &document["paths"][&path][&method];
            (method, path, operation)
        })
        .collect()
}

/// Every problem, as the source lists them.
fn codes() -> BTreeSet<String> {
    let source = include_str!("../../src/message/problem.rs");
    let (_, list) = source.split_once("\ncodes! {").expect("the list of codes");
    let (list, _) = list.split_once("\n}").expect("its end");
    let names = list
        .lines()
        .filter(|line| !line.trim_start().starts_with('"'));
    names
        .filter_map(|line| line.split('"').nth(1))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_endpoint_of_the_router_is_in_the_document() {
    let server = unlimited();
    let router = endpoints(&server);
    assert!(router.len() > 10, "{router:?}");
    let document = document(&server);
    let documented: BTreeSet<_> = operations(&document)
        .into_iter()
        .map(|(m, p, _)| (m, p))
        .collect();
    assert_eq!(documented, router);
}

#[test]
fn every_problem_is_in_the_document_with_an_example() {
    let server = unlimited();
    let document = document(&server);
    let mut documented = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        for (status, response) in operation["responses"].as_object().expect("responses") {
            let response = resolve(&document, response);
            assert!(
                response["headers"]["X-Request-Id"].is_object(),
                "{method} {path} {status}"
            );
            if let Some(examples) =
                response["content"]["application/problem+json"]["examples"].as_object()
            {
                for (code, example) in examples {
                    assert_eq!(example["value"]["code"], code.as_str());
                    assert_eq!(
                        example["value"]["status"].to_string(),
                        *status,
                        "{method} {path} {code}"
                    );
                    documented.insert(code.clone());
                }
            }
        }
    }
    let codes = codes();
    assert!(codes.len() >= 30, "{codes:?}");
    assert_eq!(documented, codes);
}
