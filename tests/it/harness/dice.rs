//! Chance that a seed fixes.

use std::sync::Mutex;

/// A small generator: one seed, one row of numbers.
#[derive(Clone)]
pub struct Dice(pub u64);

impl Dice {
    /// Seeds that are near each other give rows that are not.
    pub fn new(seed: u64) -> Self {
        let mut dice = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5eed);
        dice.roll(2);
        dice
    }

    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.roll(high - low + 1)
    }

    /// As [`Self::between`], for numbers that may lie below zero.
    pub fn between_signed(&mut self, low: i64, high: i64) -> i64 {
        low.saturating_add_unsigned(self.roll(high.abs_diff(low) + 1))
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.roll(n) == 0
    }
}

/// Whether something happens, one time in so many; never without dice.
pub fn one_in(sides: u64, dice: &Mutex<Option<Dice>>) -> bool {
    dice.lock()
        .expect("nobody panics with it")
        .as_mut()
        .is_some_and(|dice| dice.roll(sides) == 0)
}
