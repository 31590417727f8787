//! Changes to seeds: what a fuzzer does, without one.

/// A generator of numbers that a seed repeats.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number below `n`.
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    }

    pub(crate) fn one<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// What often breaks readers.
const TOKENS: [&[u8]; 24] = [
    b"\"",
    b"\"\"",
    b",",
    b"\n",
    b"\r\n",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"{{",
    b"}}",
    b"${",
    b"}",
    b"[",
    b"]",
    b"null",
    b"-0",
    b"1e999",
    b"18446744073709551616",
    b"\\u0000",
    b"\\",
    b"=",
    b"'",
    b"{{ entry }}",
    b"\xf0\x9f\x98\x80",
];

/// One to eight changes at random places; now and then a part of another seed.
pub(crate) fn change(seed: &[u8], others: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut data = seed.to_vec();
    for _ in 0..=random.below(8) {
        let at = random.below(data.len() + 1);
        let until = (at + 1 + random.below(16)).min(data.len());
        match random.below(7) {
            0 => data.splice(at..at, random.one(&TOKENS).iter().copied()).for_each(drop),
            1 => data.drain(at.min(until)..until).for_each(drop),
            2 if at < data.len() => data[at] ^= 1 << random.below(8),
            3 if at < data.len() => data[at] = random.below(256) as u8,
            4 => {
                let part = data[at.min(until)..until].to_vec();
                let to = random.below(data.len() + 1);
                data.splice(to..to, part).for_each(drop);
            }
            5 => data.truncate(at),
            _ => {
                let other = random.one(others);
                let from = random.below(other.len() + 1);
                let to = (from + random.below(64)).min(other.len());
                data.splice(at..at, other[from..to].iter().copied()).for_each(drop);
            }
        }
    }
    data
}
