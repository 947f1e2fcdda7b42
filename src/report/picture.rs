//! Pictures: a frame of axes around shapes, as SVG. Shapes stretch with the page, letters do not:
//! all that is outside of the shapes lies at a percentage of the width.

use std::fmt::Write as _;

use super::text::escaped;
use super::time;

/// Where the shapes begin and how wide they are, in percent of the width.
const LEFT: f64 = 9.0;
const WIDTH: f64 = 70.0;
/// In pixels.
const TOP: f64 = 10.0;
const HEIGHT: f64 = 220.0;
const BELOW: f64 = 30.0;
const LABEL_HEIGHT: f64 = 34.0;
/// Shapes are drawn on a square of this size, with 0 at its lower left.
const SQUARE: f64 = 1_000.0;

/// Says what a shape is, beside where it ends.
pub struct Label {
    pub colour: &'static str,
    pub name: &'static str,
    pub value: String,
    /// From 0, at the bottom, to 1.
    pub height: f64,
}

pub struct Picture {
    /// No other picture of the page has it.
    pub id: String,
    pub title: String,
    pub description: String,
    pub span_ms: i64,
    /// Where, from 0 to 1, and what they say.
    pub marks: Vec<(f64, String)>,
    pub shapes: String,
    pub labels: Vec<Label>,
}

impl Picture {
    pub fn svg(&self) -> String {
        let Picture { id, shapes, .. } = self;
        let (title, description) = (escaped(&self.title), escaped(&self.description));
        let mut text = format!(
            "<svg class=\"picture\" height=\"{}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\n\
             <title id=\"{id}-t\">{title}</title>\n<desc id=\"{id}-d\">{description}</desc>\n\
             <svg x=\"{LEFT}%\" y=\"{TOP}\" width=\"{WIDTH}%\" height=\"{HEIGHT}\" \
             viewBox=\"0 0 {SQUARE} {SQUARE}\" preserveAspectRatio=\"none\">{shapes}</svg>\n",
            TOP + HEIGHT + BELOW
        );
        let right = LEFT + WIDTH;
        for (height, mark) in &self.marks {
            let y = TOP + HEIGHT * (1.0 - height);
            let _ = write!(
                text,
                "<line class=\"grid\" x1=\"{LEFT}%\" x2=\"{right}%\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"mark\" x=\"{LEFT}%\" dx=\"-6\" y=\"{:.1}\" text-anchor=\"end\">{mark}</text>",
                y + 4.0
            );
        }
        for (at, mark) in time::ticks(self.span_ms) {
            let (x, y) = (LEFT + WIDTH * at, TOP + HEIGHT);
            let _ = write!(
                text,
                "<line class=\"tick\" x1=\"{x:.2}%\" x2=\"{x:.2}%\" y1=\"{y}\" y2=\"{}\"/>\
                 <text class=\"mark\" x=\"{x:.2}%\" y=\"{}\" text-anchor=\"middle\">{mark}</text>",
                y + 5.0,
                y + 20.0
            );
        }
        self.write_labels(&mut text);
        text + "\n</svg>"
    }

    /// From the top down, each below the one before it.
    fn write_labels(&self, text: &mut String) {
        let y = |label: &Label| TOP + HEIGHT * (1.0 - label.height);
        let mut ys: Vec<f64> = self.labels.iter().map(y).collect();
        let mut least = TOP + 4.0;
        for y in &mut ys {
            *y = y.max(least);
            least = *y + LABEL_HEIGHT;
        }
        let mut most = TOP + HEIGHT - 16.0;
        for y in ys.iter_mut().rev() {
            *y = y.min(most);
            most = *y - LABEL_HEIGHT;
        }
        let x = LEFT + WIDTH + 1.5;
        for (
            Label {
                colour,
                name,
                value,
                ..
            },
            y,
        ) in self.labels.iter().zip(ys)
        {
            let _ = write!(
                text,
                "<rect class=\"{colour}\" x=\"{x}%\" y=\"{:.1}\" width=\"9\" height=\"9\"/>\
                 <text class=\"name\" x=\"{x}%\" dx=\"14\" y=\"{:.1}\">{name}</text>\
                 <text class=\"value\" x=\"{x}%\" dx=\"14\" y=\"{:.1}\">{value}</text>",
                y - 5.0,
                y + 4.0,
                y + 19.0
            );
        }
    }
}

/// Each height, from 0 to 1, goes on until the next one.
fn steps(heights: &[f64]) -> String {
    let mut path = String::new();
    for (n, height) in heights.iter().enumerate() {
        let x = SQUARE / heights.len() as f64;
        let y = SQUARE * (1.0 - height.clamp(0.0, 1.0));
        let begin = if n == 0 { 'M' } else { 'L' };
        let _ = write!(
            path,
            "{begin}{:.1} {y:.1}H{:.1}",
            n as f64 * x,
            (n + 1) as f64 * x
        );
    }
    path
}

pub fn area(colour: &str, heights: &[f64]) -> String {
    let path = steps(heights);
    format!("<path class=\"{colour}\" d=\"{path}V{SQUARE}H0Z\"/>")
}

pub fn line(colour: &str, heights: &[f64]) -> String {
    let path = steps(heights);
    format!("<path class=\"line {colour}\" d=\"{path}\"/>")
}

pub fn bars(colour: &str, heights: &[f64]) -> String {
    let width = SQUARE / heights.len() as f64;
    let bar = |(n, height): (usize, &f64)| {
        let (x, height) = (n as f64 * width, SQUARE * height);
        let top = SQUARE - height;
        let width = width * 0.86;
        format!("M{x:.1} {SQUARE}V{top:.1}h{width:.1}V{SQUARE}Z")
    };
    let path: String = heights.iter().enumerate().map(bar).collect();
    format!("<path class=\"{colour}\" d=\"{path}\"/>")
}

/// Round numbers from 0 to `most`.
pub fn marks(most: i64) -> Vec<(f64, String)> {
    let powers = (0..18).map(|n| 10_i64.pow(n));
    let mut round = powers.flat_map(|power| [power, 2 * power, 5 * power]);
    let step = round.find(|step| most / step <= 5).unwrap_or(most);
    let mark = |n: i64| ((n * step) as f64 / most as f64, short(n * step));
    (0..=most / step).map(mark).collect()
}

/// `500`, `2.5k`, `1M`.
fn short(n: i64) -> String {
    match n {
        ..1_000 => n.to_string(),
        1_000..1_000_000 => format!("{}k", n as f64 / 1e3),
        _ => format!("{}M", n as f64 / 1e6),
    }
}
