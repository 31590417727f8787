//! Random changes to seeds, as a fuzzer makes them.

use fastrand::Rng;

/// Tokens that often break parsers.
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

/// Makes one to eight changes at random positions, some with a part of another seed.
pub(crate) fn change(seed: &[u8], others: &[Vec<u8>], random: &mut Rng) -> Vec<u8> {
    let mut data = seed.to_vec();
    for _ in 0..=random.usize(..8) {
        let at = random.usize(..=data.len());
        let until = (at + 1 + random.usize(..16)).min(data.len());
        match random.usize(..7) {
            0 => data.splice(at..at, TOKENS[random.usize(..TOKENS.len())].iter().copied()).for_each(drop),
            1 => data.drain(at.min(until)..until).for_each(drop),
            2 if at < data.len() => data[at] ^= 1 << random.usize(..8),
            3 if at < data.len() => data[at] = random.usize(..256) as u8,
            4 => {
                let part = data[at.min(until)..until].to_vec();
                let to = random.usize(..=data.len());
                data.splice(to..to, part).for_each(drop);
            }
            5 => data.truncate(at),
            _ => {
                let other = &others[random.usize(..others.len())];
                let from = random.usize(..=other.len());
                let to = (from + random.usize(..64)).min(other.len());
                data.splice(at..at, other[from..to].iter().copied()).for_each(drop);
            }
        }
    }
    data
}
