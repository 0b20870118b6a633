//! A straight line through samples, and how sure its slope is.

/// A slope with its uncertainty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slope {
    /// Rise per unit of the first coordinate.
    pub rise: f64,
    /// Its standard error.
    pub error: f64,
}

impl Slope {
    /// The line of least squares through points; `None` for fewer than three, or all at one place.
    #[allow(clippy::cast_precision_loss)]
    pub fn through(points: &[(f64, f64)]) -> Option<Self> {
        let count = points.len() as f64;
        if points.len() < 3 {
            return None;
        }
        let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
        let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
        let spread: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
        if spread <= 0.0 {
            return None;
        }
        let common: f64 = points
            .iter()
            .map(|(x, y)| (x - mean_x) * (y - mean_y))
            .sum();
        let rise = common / spread;
        let residual: f64 = points
            .iter()
            .map(|(x, y)| (y - mean_y - rise * (x - mean_x)).powi(2))
            .sum();
        let error = (residual / (count - 2.0) / spread).sqrt();
        Some(Self { rise, error })
    }

    /// How many standard errors the slope is away from 0.
    pub fn t(self) -> f64 {
        if self.rise == 0.0 {
            return 0.0;
        }
        self.rise / self.error
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a panic is how a test fails

    use super::*;

    #[test]
    fn a_line_has_its_slope() {
        let line: Vec<(f64, f64)> = (0..10)
            .map(|x| (f64::from(x), 3.0 + 2.0 * f64::from(x)))
            .collect();
        let slope = Slope::through(&line).unwrap();
        assert!((slope.rise - 2.0).abs() < 1e-9 && slope.error < 1e-9);
    }

    #[test]
    fn noise_has_none_that_is_sure() {
        let noise: Vec<(f64, f64)> = (0..10)
            .map(|x| (f64::from(x), f64::from(x * 7919 % 5)))
            .collect();
        assert!(Slope::through(&noise).unwrap().t().abs() < 2.0);
        assert_eq!(Slope::through(&noise[..2]), None);
    }
}
