//! Silent requests: records that are sent with `acks=0`, which nobody waits to hear of.

const PRODUCE: i16 = 0;

/// Whether a request, with its length in front, is one that gets no answer.
pub(super) fn is_silent(request: &[u8]) -> bool {
    acks(request) == Some(0)
}

fn acks(request: &[u8]) -> Option<i16> {
    let mut rest = Rest(request.get(4..)?);
    let (key, version) = (rest.i16()?, rest.i16()?);
    if key != PRODUCE {
        return None;
    }
    let _correlation = rest.take(4)?;
    rest.text()?;
    match version {
        9.. => {
            for _ in 0..rest.varint()? {
                let _tag = rest.varint()?;
                let length = rest.varint()?;
                rest.take(length)?;
            }
            // A compact text has its length and one in front, and 0 for none.
            let length = rest.varint()?.saturating_sub(1);
            rest.take(length)?;
        }
        3.. => rest.text()?,
        _ => {}
    }
    rest.i16()
}

/// What is left of a request.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn i16(&mut self) -> Option<i16> {
        self.take(2)?.try_into().ok().map(i16::from_be_bytes)
    }

    /// Passes over a text that may be none.
    fn text(&mut self) -> Option<()> {
        let length = usize::try_from(self.i16()?).unwrap_or_default();
        self.take(length).map(drop)
    }

    fn varint(&mut self) -> Option<usize> {
        let mut number = 0;
        for shift in (0..35).step_by(7) {
            let byte = *self.take(1)?.first()?;
            number |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use tansu_sans_io::{ApiKey as _, Frame, Header, ProduceRequest};

    use super::*;

    #[test]
    fn only_records_that_nobody_waits_for_are_silent() {
        for version in [3, 8, 9, 11] {
            for acks in [-1, 0, 1] {
                let header = Header::Request {
                    api_key: ProduceRequest::KEY,
                    api_version: version,
                    correlation_id: 7,
                    client_id: Some("old".into()),
                };
                let ask = ProduceRequest::default()
                    .transactional_id(Some("all of it".into()).filter(|_| acks == -1))
                    .acks(acks)
                    .timeout_ms(1000)
                    .topic_data(Some(Vec::new()));
                let request = Frame::request(header, ask.into()).unwrap();
                assert_eq!(is_silent(&request), acks == 0, "version {version}, acks {acks}");
            }
        }
        assert!(!is_silent(b"") && !is_silent(&[0, 0, 0, 4, 0, 0, 0, 9]) && !is_silent(&[0; 12]));
    }
}
