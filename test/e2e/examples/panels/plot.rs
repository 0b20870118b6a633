//! Panels as small plots, three in a row.

use std::fmt::Write as _;

use novaedge_e2e::prometheus::Curve;

const COLUMNS: usize = 3;
const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 56.0;
const TOP: f64 = 44.0;
const PLOT_WIDTH: f64 = WIDTH - LEFT - 14.0;
const PLOT_HEIGHT: f64 = 120.0;
/// Names below a plot; more are counted.
const NAMES: usize = 4;
const COLOURS: [&str; 6] = [
    "#2e7d32", "#1565c0", "#ef6c00", "#6a1b9a", "#455a64", "#c62828",
];

/// A panel of a dashboard.
pub struct Panel {
    pub title: String,
    /// As Grafana calls it.
    pub unit: String,
    pub curves: Vec<Curve>,
}

/// All panels of a dashboard between two moments.
#[allow(clippy::cast_precision_loss)]
pub fn page(title: &str, window: (f64, f64), panels: &[Panel]) -> String {
    let rows = panels.len().div_ceil(COLUMNS);
    let (width, height) = (WIDTH * COLUMNS as f64, 40.0 + HEIGHT * rows as f64);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"14\" y=\"26\" font-size=\"18\">{}</text>\n",
        escape(title)
    );
    for (index, panel) in panels.iter().enumerate() {
        let x = WIDTH * (index % COLUMNS) as f64;
        let y = 40.0 + HEIGHT * (index / COLUMNS) as f64;
        let _ = writeln!(svg, "<g transform=\"translate({x} {y})\">");
        draw(&mut svg, panel, window);
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw(svg: &mut String, panel: &Panel, (from, to): (f64, f64)) {
    let values = panel.curves.iter().flat_map(|curve| &curve.points);
    let (mut low, mut high) = (0.0_f64, 0.0_f64);
    for (_, value) in values {
        low = low.min(*value);
        high = high.max(*value);
    }
    if high <= low {
        high = low + 1.0;
    }
    let x = |at: f64| LEFT + PLOT_WIDTH * (at - from) / (to - from);
    let y = |value: f64| TOP + PLOT_HEIGHT * (1.0 - (value - low) / (high - low));
    let _ = writeln!(
        svg,
        "<text x=\"14\" y=\"18\" font-size=\"13\">{}</text><text x=\"14\" y=\"34\" fill=\"#666\">{}</text>",
        escape(&panel.title),
        escape(&panel.unit)
    );
    for value in [low, low + (high - low) / 2.0, high] {
        let at = y(value);
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT + PLOT_WIDTH,
            LEFT - 4.0,
            at + 4.0,
            short(value)
        );
    }
    for (index, curve) in panel.curves.iter().enumerate() {
        let mut points = String::new();
        for (at, value) in &curve.points {
            let _ = write!(points, "{:.1},{:.1} ", x(*at), y(*value));
        }
        let colour = colour(index);
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
            points.trim_end()
        );
    }
    names(svg, &panel.curves);
}

#[allow(clippy::cast_precision_loss)]
fn names(svg: &mut String, curves: &[Curve]) {
    let mut y = TOP + PLOT_HEIGHT + 18.0;
    for (index, curve) in curves.iter().enumerate().take(NAMES) {
        if curve.name.is_empty() {
            continue;
        }
        let _ = writeln!(
            svg,
            "<rect x=\"{LEFT}\" y=\"{:.1}\" width=\"9\" height=\"9\" fill=\"{}\"/>\
             <text x=\"{:.1}\" y=\"{y:.1}\">{}</text>",
            y - 9.0,
            colour(index),
            LEFT + 14.0,
            escape(&curve.name)
        );
        y += 14.0;
    }
    if curves.len() > NAMES {
        let more = curves.len() - NAMES;
        let _ = writeln!(
            svg,
            "<text x=\"{LEFT}\" y=\"{y:.1}\">and {more} more</text>"
        );
    }
}

fn colour(index: usize) -> &'static str {
    COLOURS
        .get(index % COLOURS.len())
        .copied()
        .unwrap_or("black")
}

fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        v if v < 0.01 => format!("{value:.4}"),
        v if v < 10.0 => format!("{value:.2}"),
        v if v < 10_000.0 => format!("{value:.0}"),
        v if v < 10_000_000.0 => format!("{:.0}k", value / 1e3),
        _ => format!("{:.0}M", value / 1e6),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
