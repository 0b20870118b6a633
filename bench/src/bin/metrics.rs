//! What metrics cost: a request more or less, and a scrape of many routes that all have served something.

use std::{
    hint::black_box,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Parser;
use novaedge_agent::{Agent, AgentConfig};
use novaedge_api::meta::ObjectId;
use novaedge_bench::{
    report::{Report, Table},
    stats::median,
    timing::{Distribution, timed},
    world::{self, Backends, Route, Spread},
};
use novaedge_compile::Compiler;
use novaedge_meter::{ByName, ResourceName};
use novaedge_proto::v1;
use novaedge_proxy::metrics::{ListenerMetrics, RuleKey, RuleMetrics, Traffic};
use novaedge_store::Change;
use novaedge_subscribe::{Origin, Step, Upsert};
use novaedge_translate::{TranslateConfig, Translator};

/// As in our own programs.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Routes of which the next request is any.
const SIZES: [usize; 3] = [1, 100, 5_000];
const SAMPLES: usize = 21;
/// Requests of a sample.
const REQUESTS: usize = 100_000;
/// How long a scrape may take.
const LIMIT: f64 = 250.0;

/// Measures what metrics cost.
#[derive(Parser)]
struct Args {
    /// Folder for the report.
    #[arg(long, default_value = "docs/benchmarks")]
    out: PathBuf,
    /// Routes that are scraped.
    #[arg(long, default_value_t = 5_000)]
    routes: usize,
    /// Scrapes.
    #[arg(long, default_value_t = 21)]
    scrapes: usize,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let costs = SIZES.map(nanoseconds);
    let scraped = scrape(&args)?;
    publish(&args, &costs, &scraped)
}

/// Nanoseconds of what counts one request, without the reading of the clock, which requests did before.
#[allow(clippy::cast_precision_loss)]
fn nanoseconds(routes: usize) -> f64 {
    let traffic = Traffic::default();
    let listener = ResourceName::new("listener/ns/gw/http");
    let now = Instant::now();
    let all = traffic.listeners.part(listener.clone(), 0, now);
    let known = ByName::<(Arc<RuleMetrics>, Arc<ListenerMetrics>), 2>::default();
    let gateway: Arc<str> = "listener/ns/gw/http".into();
    let names: Vec<Arc<str>> = (0..routes)
        .map(|route| format!("route/HTTPRoute/ns/{route}/0").into())
        .collect();
    for (route, name) in names.iter().enumerate() {
        let key = RuleKey {
            listener: listener.clone(),
            kind: "HTTPRoute".into(),
            namespace: "ns".into(),
            route: route.to_string().into(),
            index: 0,
            rule: "0".into(),
            resource: (&**name).into(),
        };
        let rule = traffic.rules.part(key, 0, now);
        known.get([Some(&gateway), Some(name)], || (rule, Arc::clone(&all)));
    }
    // Far from the one before, so that the processor does not foresee it.
    let turn: Vec<&Arc<str>> = (0..REQUESTS)
        .filter_map(|at| names.get(at * 7_919 % routes))
        .collect();
    let sample = || {
        let ((), microseconds) = timed(|| {
            for name in &turn {
                let found = known.get([Some(&gateway), Some(black_box(name))], || {
                    (Arc::default(), Arc::default())
                });
                let (rule, listener) = &*found;
                listener.active.increment();
                rule.durations
                    .observe(black_box(Duration::from_micros(700)));
                listener.active.decrement();
            }
        });
        microseconds * 1e3 / REQUESTS as f64
    };
    let samples: Vec<f64> = (0..SAMPLES).map(|_| sample()).collect();
    median(&samples).unwrap_or(f64::NAN)
}

/// What scrapes came to.
struct Scraped {
    milliseconds: Distribution,
    series: usize,
    bytes: usize,
    /// Series of one of the routes.
    of_route: usize,
}

/// An agent in this process, whose routes each serve one request before it is scraped.
fn scrape(args: &Args) -> anyhow::Result<Scraped> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (http, https) = (free_port()?, free_port()?);
    let routes: Vec<Route> = (0..args.routes)
        .map(|index| Route::new(index, Spread::Hosts, Backends::Shared))
        .collect();
    let mut config = AgentConfig::new("bench");
    config.admin = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let agent = Agent::start(config)?;
    let step = Step {
        version: v1::Version {
            sequence: 1,
            digest: String::new(),
        },
        upserts: upserts(&routes, http, https)?,
        removed: Vec::new(),
        full: true,
        origin: Origin::Stream,
    };
    runtime.block_on(agent.apply(step))?;
    let mut client = Client::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, http)))?;
    for route in &routes {
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\n\r\n",
            route.path(),
            route.host()
        );
        client.ask(&request)?;
    }
    let admin = agent.admin_address().context("an admin endpoint")?;
    let mut text = String::new();
    let mut milliseconds = Vec::new();
    for _ in 0..args.scrapes.max(1) {
        let (body, microseconds) = timed(|| {
            let request = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
            Client::connect(admin)?.ask(request)
        });
        text = body?;
        milliseconds.push(microseconds / 1e3);
    }
    runtime.block_on(agent.drain(Duration::ZERO));
    let samples = || text.lines().filter(|line| !line.starts_with('#'));
    let counted = samples().filter(|line| line.starts_with("novaedge_http_rule_requests_total{"));
    let counted = counted.count();
    anyhow::ensure!(
        counted == args.routes,
        "{counted} of {} routes have served something",
        args.routes
    );
    let first = samples().find(|line| line.starts_with("novaedge_http_rule_requests_total{"));
    let first = first.and_then(|line| line.split("route=").nth(1));
    let first = first.and_then(|rest| rest.split(',').next());
    let first = format!("route={}", first.context("a route")?);
    Ok(Scraped {
        milliseconds: Distribution::of(&milliseconds),
        series: samples().count(),
        bytes: text.len(),
        of_route: samples().filter(|line| line.contains(&first)).count(),
    })
}

fn free_port() -> anyhow::Result<u16> {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(socket.local_addr()?.port())
}

fn upserts(routes: &[Route], http: u16, https: u16) -> anyhow::Result<Vec<Upsert>> {
    let mut texts = vec![world::gateway(http, https), world::service(0)];
    texts.extend(routes.iter().map(|route| route.yaml()));
    let changes = world::changes(texts.iter().map(String::as_str))?;
    let ids: Vec<ObjectId> = changes.iter().map(Change::id).collect();
    let mut translator = Translator::new(TranslateConfig::standalone());
    let delta = translator.update(changes);
    let compiled = Compiler::default().update(&delta.natives, translator.store(), &ids);
    let named = |(name, mut resource): (String, v1::Resource)| {
        resource.name = name;
        Upsert::from(&resource)
    };
    Ok(compiled.upserts.into_iter().map(named).collect())
}

struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// The body of the answer.
    fn ask(&mut self, request: &str) -> anyhow::Result<String> {
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            anyhow::ensure!(self.stream.read_line(&mut line)? > 0, "no answer");
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(String::from_utf8(body)?)
    }
}

fn publish(args: &Args, costs: &[f64], scraped: &Scraped) -> anyhow::Result<()> {
    let out: &Path = &args.out;
    let finding = format!(
        "A scrape of {} used routes takes {:.0} ms in the median and {:.0} ms at most (aim: at most {LIMIT:.0} ms); a route has {} series (aim: at most 20).",
        args.routes, scraped.milliseconds.p50, scraped.milliseconds.max, scraped.of_route
    );
    let mut report = Report::new(out, "metrics", "Metrics", &finding);
    report.paragraph("Nanoseconds that counting adds to a request whose route is any of so many.");
    let mut table = Table::new(SIZES.map(|size| format!("{size} routes")));
    table.row(costs.iter().map(|cost| format!("{cost:.1}")));
    report.table(&table);
    report.paragraph(&format!(
        "Scrapes of an agent of which each route has served a request, {} times.",
        args.scrapes
    ));
    let mut table = Table::new(["series", "bytes", "p50 ms", "p90 ms", "p99 ms", "max ms"]);
    let mut cells = vec![scraped.series.to_string(), scraped.bytes.to_string()];
    let figures = scraped.milliseconds.figures();
    cells.extend(figures.iter().map(|figure| format!("{figure:.1}")));
    table.row(cells);
    report.table(&table);
    report.data("", &table)?;
    report.finish()
}
