//! What one edit costs from the object to the agent's tables, by the number of routes.
//!
//! Every route has a Service and an EndpointSlice of its own. Nothing here does IO: the stages are
//! called as the control plane and the agent call them.

mod edge;
mod edits;

use std::path::{Path, PathBuf};

use clap::Parser;
use novaedge_bench::{
    plot::{Series, bars},
    report::{Report, Table},
    stats::median,
};

use edge::{Cost, Edge, STAGES};
use edits::{EDITS, Edits};

const SIZES: [usize; 3] = [100, 1_000, 10_000];

/// As in our own programs.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Measures the cost of one edit.
#[derive(Parser)]
struct Args {
    /// Folder for the report and the plot.
    #[arg(long, default_value = "docs/benchmarks")]
    out: PathBuf,
    /// Edits of each kind at each size.
    #[arg(long, default_value_t = 300)]
    edits: usize,
}

/// Routes that are edited again and again.
const HOT: usize = 32;

/// Median costs by kind of edit, then by size.
type Costs = Vec<Vec<Cost>>;

/// What was measured.
#[derive(Default)]
struct Measured {
    /// A few routes edited again and again: what the algorithms cost.
    hot: Costs,
    /// Every route in turn: also what the processor's caches do not hold.
    anywhere: Costs,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut measured = Measured {
        hot: vec![Vec::new(); EDITS.len()],
        anywhere: vec![Vec::new(); EDITS.len()],
    };
    let mut first = Table::new(["routes", "objects", "from nothing ms", "resources"]);
    for size in SIZES {
        let mut edits = Edits::new(size)?;
        let (mut edge, load) = Edge::load(edits.world()?);
        first.row([
            size.to_string(),
            edge.objects().to_string(),
            format!("{:.0}", load.total() / 1e3),
            edge.resources().to_string(),
        ]);
        for (turn, costs) in [(size, &mut measured.anywhere), (HOT, &mut measured.hot)] {
            edits.keep_to(turn);
            for (edit, costs) in EDITS.iter().zip(costs) {
                costs.push(measure(&mut edge, &mut edits, edit.make, args.edits)?);
            }
        }
    }
    publish(&args.out, args.edits, &measured, &first)
}

fn measure(
    edge: &mut Edge,
    edits: &mut Edits,
    make: edits::Make,
    count: usize,
) -> anyhow::Result<Cost> {
    let mut samples = Vec::with_capacity(count);
    for at in 0..count {
        let edit = make(edits, at)?;
        samples.push(edge.take(vec![edit.change]));
        if let Some(undo) = edit.undo {
            edge.take(vec![undo]);
        }
    }
    let middle = |of: &dyn Fn(&Cost) -> f64| {
        median(&samples.iter().map(of).collect::<Vec<_>>()).unwrap_or(f64::NAN)
    };
    Ok(Cost {
        stages: std::array::from_fn(|stage| middle(&|cost| cost.stages[stage])),
        pipeline: middle(&|cost| cost.pipeline),
    })
}

fn publish(out: &Path, edits: usize, measured: &Measured, first: &Table) -> anyhow::Result<()> {
    let costs = &measured.hot;
    let worst = costs.iter().map(|by_size| growth(by_size, Cost::total));
    let worst = worst.fold(f64::NAN, f64::max);
    let finding = format!(
        "The cost of one edit grows by at most {worst:.2} × from 100 to 10,000 routes (aim: at most 2 ×)."
    );
    let mut report = Report::new(out, "translation", "Cost of one edit", &finding);
    report.paragraph(&format!(
        "Median of {edits} edits in µs: translate + compile + publish (encoding, log, delta) + the agent's tables; {HOT} routes are edited again and again."
    ));
    let table = by_size(costs, Cost::total);
    report.table(&table);
    report.plot("", "Cost of one edit", &plot(costs))?;
    report.paragraph("The same by stage.");
    let stages = stages(costs);
    report.table(&stages);
    report.data("", &stages)?;
    report.paragraph(
        "The control plane's pipeline as a whole (the first three stages), with statuses and findings told to those who watch.",
    );
    report.table(&by_size(costs, |cost| cost.pipeline));
    report.paragraph(
        "The same with every route edited in turn, so that the objects of many routes do not fit the processor's caches.",
    );
    report.table(&by_size(&measured.anywhere, Cost::total));
    report.paragraph("The first translation of everything.");
    report.table(first);
    report.finish()
}

fn by_size(costs: &Costs, of: fn(&Cost) -> f64) -> Table {
    let mut table = Table::new(["edit", "100 routes", "1,000", "10,000", "growth"]);
    for (edit, by_size) in EDITS.iter().zip(costs) {
        let mut cells = vec![edit.name.to_owned()];
        cells.extend(by_size.iter().map(|cost| format!("{:.0}", of(cost))));
        cells.push(format!("{:.2}", growth(by_size, of)));
        table.row(cells);
    }
    table
}

fn stages(costs: &Costs) -> Table {
    let mut table = Table::new(["edit", "routes"].into_iter().chain(STAGES));
    for (edit, by_size) in EDITS.iter().zip(costs) {
        for (size, cost) in SIZES.iter().zip(by_size) {
            let mut cells = vec![edit.name.to_owned(), size.to_string()];
            cells.extend(cost.stages.iter().map(|stage| format!("{stage:.1}")));
            table.row(cells);
        }
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

fn plot(costs: &Costs) -> String {
    let series: Vec<Series> = EDITS
        .iter()
        .zip(costs)
        .map(|(edit, by_size)| Series {
            name: edit.name.to_owned(),
            values: by_size.iter().map(Cost::total).collect(),
        })
        .collect();
    let labels = SIZES.map(|size| format!("{size} routes"));
    bars("Cost of one edit", "µs", &labels, &series)
}
