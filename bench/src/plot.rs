//! Plots as SVG, without any library: grouped bars.

use std::fmt::Write as _;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 70.0;
/// Width of the part with the values.
const PLOT_WIDTH: f64 = WIDTH - LEFT - 20.0;
const TOP: f64 = 50.0;
const HEIGHT: f64 = 300.0;
const COLOURS: [&str; 5] = ["#2e7d32", "#1565c0", "#ef6c00", "#6a1b9a", "#455a64"];

/// One named series of values.
#[derive(Clone, Debug)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// One value per label; NaN leaves a gap.
    pub values: Vec<f64>,
}

/// Groups of bars: one group per label, one bar per series.
#[allow(clippy::cast_precision_loss)]
pub fn bars(title: &str, unit: &str, labels: &[String], series: &[Series]) -> String {
    let mut svg = Canvas::new(title, unit, labels, series);
    let group = PLOT_WIDTH / labels.len().max(1) as f64;
    let bar = group * 0.8 / series.len().max(1) as f64;
    for (index, one) in series.iter().enumerate() {
        for (at, value) in one.values.iter().enumerate().filter(|(_, v)| v.is_finite()) {
            let x = LEFT + group * at as f64 + group * 0.1 + bar * index as f64;
            let y = svg.y(*value);
            let _ = writeln!(
                svg.text,
                r#"<rect x="{x:.1}" y="{y:.1}" width="{:.1}" height="{:.1}" fill="{}"/>"#,
                bar * 0.94,
                TOP + HEIGHT - y,
                colour(index)
            );
            let _ = writeln!(
                svg.text,
                r#"<text x="{:.1}" y="{:.1}" text-anchor="middle" font-size="10">{}</text>"#,
                x + bar * 0.47,
                y - 3.0,
                short(*value)
            );
        }
    }
    svg.finish()
}

struct Canvas {
    text: String,
    top_value: f64,
}

impl Canvas {
    /// Title, legend, scale and labels.
    #[allow(clippy::cast_precision_loss)]
    fn new(title: &str, unit: &str, labels: &[String], series: &[Series]) -> Self {
        let values = series
            .iter()
            .flat_map(|s| &s.values)
            .copied()
            .filter(|v| v.is_finite());
        let top_value = round_up(values.fold(0.0, f64::max));
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" \
             fill=\"white\"/>\n<text x=\"{LEFT}\" y=\"20\" font-size=\"15\">{}</text>\n",
            TOP + HEIGHT + 60.0,
            escape(title)
        );
        for step in 0..=4 {
            let value = top_value * f64::from(step) / 4.0;
            let y = TOP + HEIGHT * (1.0 - f64::from(step) / 4.0);
            let _ = writeln!(
                text,
                r##"<line x1="{LEFT}" y1="{y}" x2="{}" y2="{y}" stroke="#ddd"/><text x="{}" y="{}" text-anchor="end">{}</text>"##,
                WIDTH - 20.0,
                LEFT - 6.0,
                y + 4.0,
                short(value)
            );
        }
        let _ = writeln!(
            text,
            r#"<text x="12" y="{}" font-size="11">{}</text>"#,
            TOP - 12.0,
            escape(unit)
        );
        let group = PLOT_WIDTH / labels.len().max(1) as f64;
        for (at, label) in labels.iter().enumerate() {
            let x = LEFT + group * (at as f64 + 0.5);
            let _ = writeln!(
                text,
                r#"<text x="{x:.1}" y="{}" text-anchor="middle" font-size="11">{}</text>"#,
                TOP + HEIGHT + 18.0,
                escape(label)
            );
        }
        legend(&mut text, series);
        Self { text, top_value }
    }

    fn y(&self, value: f64) -> f64 {
        TOP + HEIGHT * (1.0 - value / self.top_value)
    }

    fn finish(mut self) -> String {
        self.text.push_str("</svg>\n");
        self.text
    }
}

/// The names of the series in a row below the plot.
#[allow(clippy::cast_precision_loss)]
fn legend(text: &mut String, series: &[Series]) {
    let (mut x, y) = (LEFT, TOP + HEIGHT + 42.0);
    for (index, one) in series.iter().enumerate() {
        let _ = writeln!(
            text,
            r#"<rect x="{x}" y="{}" width="12" height="12" fill="{}"/><text x="{}" y="{y}">{}</text>"#,
            y - 11.0,
            colour(index),
            x + 18.0,
            escape(&one.name)
        );
        x += 44.0 + 7.0 * one.name.chars().count() as f64;
    }
}

fn colour(index: usize) -> &'static str {
    COLOURS
        .get(index % COLOURS.len())
        .copied()
        .unwrap_or("black")
}

/// The next round number: a small one times a power of ten.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let factor = [1.0, 1.2, 1.6, 2.0, 2.4, 3.2, 4.0, 5.0, 6.0, 8.0, 10.0]
        .into_iter()
        .find(|f| f * power >= value)
        .unwrap_or(10.0);
    factor * power
}

fn short(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        v if v < 10.0 => format!("{v:.2}"),
        v if v < 100.0 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_holds_every_value_and_name() {
        let labels = ["a".to_owned(), "b<c".to_owned()];
        let series = [Series {
            name: "one".to_owned(),
            values: vec![1.0, f64::NAN],
        }];
        let svg = bars("title", "µs", &labels, &series);
        assert!(svg.contains(">1.00<") && svg.contains("b&lt;c") && svg.contains(">one<"));
        assert_eq!(
            svg.matches("<rect").count(),
            3,
            "background, one bar, legend"
        );
    }
}
