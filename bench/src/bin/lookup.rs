//! What it costs to find the rule of a request, by the number of routes.
//!
//! The tables are made from HTTPRoutes by the real translation, so that what is measured is what serves.

use std::{
    borrow::Cow,
    hint::black_box,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Parser;
use novaedge_api::meta::ObjectId;
use novaedge_bench::{
    plot::{Series, bars},
    report::{Report, Table},
    stats::median,
    timing::timed,
    world::{self, Backends, Route, Spread, TENANT_HEADER},
};
use novaedge_compile::Compiler;
use novaedge_router::{RequestHead, Socket, Tables, TablesBuilder};
use novaedge_store::Change;
use novaedge_translate::{TranslateConfig, Translator};

const SIZES: [usize; 5] = [1, 10, 100, 1_000, 10_000];
const SPREADS: [(&str, Spread); 3] = [
    ("by host", Spread::Hosts),
    ("by path prefix", Spread::Paths),
    ("by header", Spread::Headers),
];
/// Requests that come again and again.
const HOT: usize = 32;
const SAMPLES: usize = 41;
/// Lookups in the first sample, which tells how many the others take.
const FIRST: usize = 256;
/// Microseconds that a sample takes.
const SAMPLE: f64 = 2_000.0;

/// As in our own programs.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Measures route lookups.
#[derive(Parser)]
struct Args {
    /// Folder for the report and the plot.
    #[arg(long, default_value = "docs/benchmarks")]
    out: PathBuf,
}

/// Nanoseconds of a lookup.
#[derive(Clone, Copy)]
struct Cost {
    /// Thirty-two requests again and again: what the index costs.
    hot: f64,
    /// Every route in turn: also what the processor's caches do not hold.
    anywhere: f64,
}

struct Request {
    host: String,
    path: String,
    tenant: Option<String>,
}

impl RequestHead for Request {
    fn method(&self) -> &'static str {
        "GET"
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn query(&self) -> Option<&str> {
        None
    }

    fn header<'a>(&'a self, lowercase_name: &str) -> Option<Cow<'a, str>> {
        let tenant = self.tenant.as_deref();
        tenant
            .filter(|_| lowercase_name == TENANT_HEADER)
            .map(Cow::Borrowed)
    }

    fn is_grpc(&self) -> bool {
        false
    }
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut costs = Vec::new();
    for (name, spread) in SPREADS {
        let by_size: anyhow::Result<Vec<Cost>> =
            SIZES.iter().map(|size| measure(spread, *size)).collect();
        costs.push(by_size.context(name)?);
    }
    publish(&args.out, &costs)
}

fn measure(spread: Spread, size: usize) -> anyhow::Result<Cost> {
    let routes: Vec<Route> = (0..size)
        .map(|index| Route::new(index, spread, Backends::Shared))
        .collect();
    let tables = tables(&routes)?;
    let request = |at: usize| -> Option<Request> {
        let route = routes.get(at * 7919 % size)?;
        Some(Request {
            host: route.host(),
            path: format!("{}/v1/items", route.path().trim_end_matches('/')),
            tenant: route.tenant(),
        })
    };
    let all: Vec<Request> = (0..size.max(HOT)).filter_map(request).collect();
    let hot = all.get(..HOT).context("enough requests")?;
    anyhow::ensure!(
        all.iter().all(|request| found(&tables, request)),
        "a request finds no route"
    );
    Ok(Cost {
        hot: nanoseconds(&tables, hot),
        anywhere: nanoseconds(&tables, &all),
    })
}

/// The tables of an agent that serves these routes.
fn tables(routes: &[Route]) -> anyhow::Result<TablesBuilder> {
    let mut texts = vec![world::gateway(80, 443), world::service(0)];
    texts.extend(routes.iter().map(|route| route.yaml()));
    let changes = world::changes(texts.iter().map(String::as_str))?;
    let ids: Vec<ObjectId> = changes.iter().map(Change::id).collect();
    let mut translator = Translator::new(TranslateConfig::standalone());
    let delta = translator.update(changes);
    let compiled = Compiler::default().update(&delta.natives, translator.store(), &ids);
    let mut builder = TablesBuilder::new();
    let resources = compiled.upserts.into_iter().map(|(_, resource)| resource);
    builder.apply(resources, &[]);
    Ok(builder)
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
fn nanoseconds(tables: &TablesBuilder, requests: &[Request]) -> f64 {
    let mut turn = requests.iter().cycle();
    let mut sample = |lookups: usize| {
        let (count, microseconds) = timed(|| {
            let lookups = turn.by_ref().take(lookups);
            let found = lookups.filter(|request| found(black_box(tables), request));
            found.count()
        });
        black_box(count);
        microseconds * 1e3 / lookups as f64
    };
    let lookups = (SAMPLE * 1e3 / sample(FIRST)).max(HOT as f64) as usize;
    let samples: Vec<f64> = (0..SAMPLES).map(|_| sample(lookups)).collect();
    median(&samples).unwrap_or(f64::NAN)
}

fn found(builder: &TablesBuilder, request: &Request) -> bool {
    let tables: &Tables = builder.tables();
    let mut sockets = tables.sockets.values();
    sockets.any(|socket| match &**socket {
        Socket::Http(socket) => socket
            .listener(&request.host)
            .and_then(|listener| listener.route(request))
            .is_some(),
        _ => false,
    })
}

fn publish(out: &Path, costs: &[Vec<Cost>]) -> anyhow::Result<()> {
    let worst = costs.iter().map(|by_size| growth(by_size, |cost| cost.hot));
    let finding = format!(
        "A lookup among 10,000 routes costs at most {:.2} × what it costs with one route (aim: at most 1.2 ×).",
        worst.fold(f64::NAN, f64::max)
    );
    let mut report = Report::new(out, "lookup", "Route lookup", &finding);
    report.paragraph(&format!(
        "Nanoseconds for listener and rule of a request, median of {SAMPLES} samples; {HOT} requests come again and again."
    ));
    let table = by_size(costs, |cost| cost.hot);
    report.table(&table);
    let labels = SIZES.map(|size| format!("{size} routes"));
    let series: Vec<Series> = SPREADS
        .iter()
        .zip(costs)
        .map(|((name, _), by_size)| Series {
            name: (*name).to_owned(),
            values: by_size.iter().map(|cost| cost.hot).collect(),
        })
        .collect();
    let title = "Route lookup";
    report.plot("", title, &bars(title, "ns", &labels, &series))?;
    report.data("", &table)?;
    report.paragraph(
        "The same with a request for every route in turn, so that the tables of many routes do not fit the processor's caches.",
    );
    report.table(&by_size(costs, |cost| cost.anywhere));
    report.finish()
}

fn by_size(costs: &[Vec<Cost>], of: fn(&Cost) -> f64) -> Table {
    let sizes = SIZES.iter().map(|size| format!("{size} routes"));
    let head = ["lookup".to_owned()].into_iter().chain(sizes);
    let mut table = Table::new(head.chain(["growth".to_owned()]));
    for ((name, _), by_size) in SPREADS.iter().zip(costs) {
        let mut cells = vec![(*name).to_owned()];
        cells.extend(by_size.iter().map(|cost| format!("{:.0}", of(cost))));
        cells.push(format!("{:.2}", growth(by_size, of)));
        table.row(cells);
    }
    table
}

/// What the largest size costs over what the smallest does.
fn growth(by_size: &[Cost], of: fn(&Cost) -> f64) -> f64 {
    match (by_size.first(), by_size.last()) {
        (Some(small), Some(large)) => of(large) / of(small),
        _ => f64::NAN,
    }
}
