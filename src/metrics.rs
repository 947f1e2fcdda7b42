//! Counts what happens, for `GET /metrics`. The only place that knows the prometheus crate.
//!
//! Like the log there is one for the process. Whatever a request touches on its way is an atomic
//! that was looked up before: nothing here takes a lock or allocates twice for the same thing.

use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{
    Counter, Encoder, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::process::{self, Usage};

/// What [`Metrics::render`] writes.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub static METRICS: LazyLock<Metrics> =
    LazyLock::new(|| Metrics::new().expect("names and labels that the library takes"));

const LATENCY_BUCKETS_S: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];
/// The codes of the problems with status 503. All are there from the start, at 0: an increase from
/// nothing is none to Prometheus, and the first refusals would alarm nobody.
const UNAVAILABLE: [&str; 3] = ["overloaded", "storage_unavailable", "shutting_down"];
const JOBS_BUCKETS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    latencies: HistogramVec,
    unavailable: IntCounterVec,
    pub commits: IntCounter,
    pub commits_failed: IntCounter,
    pub jobs_per_commit: Histogram,
    pub holds_released: IntCounter,
    pub rate_limited: IntCounter,
    pub restarts: IntCounter,
    pub open_connections: IntGauge,
    pub connections_max: IntGauge,
    pub open_streams: IntGauge,
    pub streams_max: IntGauge,
    /// Seconds since the Unix epoch; 0 before the first run.
    pub reaper_last_run: Gauge,
}

impl Metrics {
    fn new() -> prometheus::Result<Metrics> {
        let registry = Registry::new_custom(Some("lastseat".into()), None)?;
        let counter = |name: &str, help: &str| kept(&registry, IntCounter::new(name, help)?);
        let gauge = |name: &str, help: &str| kept(&registry, IntGauge::new(name, help)?);
        let build = Opts::new("build_info", "Always 1; the label says what runs.")
            .const_label("version", env!("CARGO_PKG_VERSION"));
        kept(&registry, IntGauge::with_opts(build)?)?.set(1);
        let latency = HistogramOpts::new(
            "http_request_duration_seconds",
            "From having read a request to having its response, its commit included.",
        );
        let jobs = HistogramOpts::new("commit_jobs", "Jobs that shared one commit.");
        Ok(Metrics {
            requests: kept(
                &registry,
                IntCounterVec::new(
                    Opts::new("http_requests_total", "Requests answered."),
                    &["route", "method", "status"],
                )?,
            )?,
            latencies: kept(
                &registry,
                HistogramVec::new(latency.buckets(LATENCY_BUCKETS_S.into()), &["route"])?,
            )?,
            unavailable: kept(&registry, unavailable()?)?,
            commits: counter("commits_total", "Transactions committed.")?,
            commits_failed: counter(
                "commits_failed_total",
                "Transactions that failed, or may not be on disk.",
            )?,
            jobs_per_commit: kept(
                &registry,
                Histogram::with_opts(jobs.buckets(JOBS_BUCKETS.into()))?,
            )?,
            holds_released: counter(
                "holds_released_total",
                "Expired holds whose spot was put back on sale, by a buyer or the sweep.",
            )?,
            rate_limited: counter("rate_limited_total", "Requests refused by the rate limit.")?,
            restarts: counter(
                "restarts_total",
                "How often the keeper has had to start another server before this one.",
            )?,
            open_connections: gauge("open_connections", "Connections that are open.")?,
            connections_max: gauge("connections_max", "Beyond so many, clients wait.")?,
            open_streams: gauge("open_streams", "Streams and long polls that are open.")?,
            streams_max: gauge("streams_max", "Beyond so many, clients get a 503.")?,
            reaper_last_run: kept(
                &registry,
                Gauge::new(
                    "reaper_last_run_timestamp_seconds",
                    "When expired holds were last swept up.",
                )?,
            )?,
            registry,
        })
    }

    /// A request that was answered 503 with this code.
    pub fn count_unavailable(&self, code: &str) {
        if UNAVAILABLE.contains(&code) {
            self.unavailable.with_label_values(&[code]).inc();
        }
    }

    /// Everything counted so far, these gauges, and what the process uses, in Prometheus's text format 0.0.4.
    pub fn render(&self, gauges: &[Reading]) -> Vec<u8> {
        let mut families = self.registry.gather();
        families.extend(families_of(gauges));
        match process::usage() {
            Ok(usage) => families.extend(process_families(&usage)),
            Err(e) => {
                log::debug!("metrics without the process, as it seems there is no /proc: {e}")
            }
        }
        encode(&families)
    }
}

/// These alone, for a program that counts nothing else.
pub fn render_gauges(gauges: &[Reading]) -> Vec<u8> {
    encode(&families_of(gauges).collect::<Vec<_>>())
}

/// The encoder stops at a family without values.
fn families_of(gauges: &[Reading]) -> impl Iterator<Item = MetricFamily> {
    let gauges = gauges.iter().filter(|reading| !reading.values.is_empty());
    gauges.flat_map(Reading::families)
}

fn encode(families: &[MetricFamily]) -> Vec<u8> {
    let mut text = Vec::with_capacity(16 * 1024);
    if let Err(e) = TextEncoder::new().encode(families, &mut text) {
        log::error!("the metrics cannot be written: {e}");
    }
    text
}

fn kept<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> prometheus::Result<C> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn unavailable() -> prometheus::Result<IntCounterVec> {
    let opts = Opts::new(
        "unavailable_total",
        "Requests answered 503, without those of monitors (/readyz).",
    );
    let counters = IntCounterVec::new(opts, &["reason"])?;
    for code in UNAVAILABLE {
        counters.with_label_values(&[code]);
    }
    Ok(counters)
}

/// Under the names that Prometheus's client libraries have agreed upon.
fn process_families(usage: &Usage) -> Vec<MetricFamily> {
    let gauges = [
        (
            "process_resident_memory_bytes",
            "Resident memory size.",
            usage.resident_bytes,
        ),
        (
            "process_virtual_memory_bytes",
            "Virtual memory size.",
            usage.virtual_bytes,
        ),
        ("process_open_fds", "Open descriptors.", usage.open_fds),
        (
            "process_max_fds",
            "Beyond so many descriptors, none can be opened.",
            usage.max_fds,
        ),
        ("process_threads", "Threads.", usage.threads),
        (
            "process_start_time_seconds",
            "When the server process started.",
            usage.started_s,
        ),
    ];
    let gauges = gauges.into_iter().filter_map(|(name, help, value)| {
        let gauge = Gauge::new(name, help).ok()?;
        gauge.set(value);
        Some(gauge.collect())
    });
    let cpu = Counter::new("process_cpu_seconds_total", "Processor time taken.");
    let cpu = cpu.ok().map(|cpu| {
        cpu.inc_by(usage.cpu_s);
        cpu.collect()
    });
    gauges.chain(cpu).flatten().collect()
}

/// What is not counted but looked up when somebody asks.
pub struct Reading {
    pub name: &'static str,
    pub help: &'static str,
    /// The label that tells the values apart; "" for a single value.
    pub label: &'static str,
    /// Each with its label's value.
    pub values: Vec<(String, i64)>,
}

impl Reading {
    pub fn one(name: &'static str, help: &'static str, value: i64) -> Reading {
        let values = vec![(String::new(), value)];
        Reading {
            name,
            help,
            label: "",
            values,
        }
    }

    fn families(&self) -> Vec<MetricFamily> {
        fn present(label: &str) -> Vec<&str> {
            [label].into_iter().filter(|l| !l.is_empty()).collect()
        }
        let opts = Opts::new(self.name, self.help).namespace("lastseat");
        let Ok(gauges) = IntGaugeVec::new(opts, &present(self.label)) else {
            return Vec::new();
        };
        for (label, value) in &self.values {
            gauges.with_label_values(&present(label)).set(*value);
        }
        gauges.collect()
    }
}

/// The counters of one route, found once and then kept at hand.
pub struct RouteCounters {
    latency: OnceLock<Histogram>,
    /// By method and status, as the arrays below have them.
    requests: [[OnceLock<IntCounter>; STATUSES.len()]; METHODS.len()],
}

/// A label must not be what a client makes up, or clients could fill the memory with labels.
const METHODS: [&str; 6] = ["GET", "POST", "PATCH", "HEAD", "OPTIONS", "other"];
/// The last stands for every other.
const STATUSES: [u16; 21] = [
    200, 201, 204, 304, 400, 401, 403, 404, 405, 409, 410, 412, 413, 415, 417, 422, 429, 500, 503,
    505, 0,
];

impl RouteCounters {
    pub const fn at_zero() -> RouteCounters {
        RouteCounters {
            latency: OnceLock::new(),
            requests: [const { [const { OnceLock::new() }; STATUSES.len()] }; METHODS.len()],
        }
    }

    pub fn count(&self, route: &str, method: &str, status: u16, took: Duration) {
        let latency = || METRICS.latencies.with_label_values(&[route]);
        let latency = self.latency.get_or_init(latency);
        latency.observe(took.as_secs_f64());
        let method = METHODS.iter().position(|m| *m == method);
        let method = method.unwrap_or(METHODS.len() - 1);
        let cell = STATUSES.iter().position(|s| *s == status);
        let cell = cell.unwrap_or(STATUSES.len() - 1);
        let counter = || {
            let labels = [route, METHODS[method], &STATUSES[cell].to_string()];
            METRICS.requests.with_label_values(&labels)
        };
        self.requests[method][cell].get_or_init(counter).inc();
    }
}
