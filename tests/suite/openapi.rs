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

/// The members that a problem can have beside those of every problem, as the source adds them.
fn extension_members() -> BTreeSet<String> {
    let sources = [
        include_str!("../../src/message/problem.rs"),
        include_str!("../../src/api/auth.rs"),
    ];
    let added = sources
        .iter()
        .flat_map(|source| source.split(".member(\"").skip(1));
    added
        .filter_map(|rest| rest.split('"').next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_member_of_a_problem_has_a_type() {
    let document = document(&unlimited());
    let members = extension_members();
    assert!(members.len() >= 8, "{members:?}");
    for member in members {
        let schema = &document["components"]["schemas"]["Problem"]["properties"][&member];
        let typed = schema["type"] != Value::Null || schema["$ref"].is_string();
        assert!(typed, "{member}: {schema}");
    }
}

#[test]
fn it_is_what_a_generator_makes_a_client_of_that_a_person_would_write() {
    let document = document(&unlimited());
    assert!(document.to_string().len() < 100_000);
    let operations = operations(&document);
    let ids: BTreeSet<&str> = operations
        .iter()
        .map(|(_, _, operation)| operation["operationId"].as_str().expect("an id"))
        .collect();
    assert_eq!(ids.len(), operations.len(), "each has its own");
    assert!(ids.contains("registerForEvent"), "{ids:?}");
    for (method, path, operation) in operations {
        let what = format!("{method} {path}");
        assert_eq!(
            operation["tags"].as_array().map(Vec::len),
            Some(1),
            "{what}"
        );
        assert!(operation["description"].is_string(), "{what}");
        for parameter in operation["parameters"].as_array().expect("parameters") {
            assert!(
                resolve(&document, parameter)["description"].is_string(),
                "{what}"
            );
        }
    }
    let csv = &document["paths"]["/events/{id}/tickets"]["get"]["responses"]["200"];
    let example = csv["content"]["text/csv"]["example"].as_str().expect("one");
    assert!(example.starts_with("\"ticket_id\","), "{example}");
}
