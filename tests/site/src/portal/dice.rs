//! Numbers that follow from a seed: what two runs of the site must agree on is drawn here and nowhere else.

/// A source of numbers that is asked by name, not in turn: the answer to one question does not depend on which others
/// were asked before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The dice of one thing (`number`) in a world (`seed`).
    pub fn new(seed: u64, number: u64) -> Self {
        Dice(mix(seed ^ mix(number.wrapping_add(0x51_7C_C1_B7))))
    }

    /// The number for a question.
    pub fn draw(self, question: u64) -> u64 {
        mix(self.0 ^ question.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// The number for a question, below `bound`.
    pub fn below(self, question: u64, bound: usize) -> usize {
        // Fixed point: the upper half of the product is uniform enough for every bound here (below 2^20).
        usize::try_from(((self.draw(question) >> 32) * bound as u64) >> 32).expect("below a usize")
    }

    /// One entry of a table.
    pub fn pick<T: Copy>(self, question: u64, table: &[T]) -> T {
        table[self.below(question, table.len())]
    }
}

/// A bijection of 64 bits in which every input bit moves every output bit (the finaliser of SplitMix64; Steele, Lea and
/// Flood, "Fast splittable pseudorandom number generators", 2014).
pub(crate) fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_do_not_depend_on_the_order_of_questions() {
        let dice = Dice::new(7, 11);
        let forwards: Vec<u64> = (0..10).map(|q| dice.draw(q)).collect();
        let mut backwards: Vec<u64> = (0..10).rev().map(|q| dice.draw(q)).collect();
        backwards.reverse();
        assert_eq!(forwards, backwards);
        assert_ne!(dice.draw(1), Dice::new(7, 12).draw(1));
        assert_ne!(dice.draw(1), Dice::new(8, 11).draw(1));
    }

    #[test]
    fn every_entry_of_a_table_is_drawn() {
        let table = [0, 1, 2, 3, 4, 5, 6];
        let mut counts = [0; 7];
        for number in 0..7_000 {
            counts[Dice::new(1, number).pick(3, &table)] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }
}
