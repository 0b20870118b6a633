//! The kinds of abuse, a file for each family.

mod control;
mod fields;
mod flood;
mod hello;
mod http1;
mod reset;
mod slow;
mod stall;

use crate::attack::Abuse;

/// All, in the order of the page.
pub fn all() -> impl Iterator<Item = &'static Abuse> {
    let families: [&'static [Abuse]; 8] = [
        control::ABUSES,
        reset::ABUSES,
        flood::ABUSES,
        fields::ABUSES,
        stall::ABUSES,
        slow::ABUSES,
        hello::ABUSES,
        http1::ABUSES,
    ];
    families.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = all().map(|abuse| abuse.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }
}
