//! What members beside the records, or around them, say about other pages.

use serde_json::Value;

use super::super::json::{Located, Pointer, without_nan};
use super::super::responses::Response;

/// Where APIs put the URL or the cursor of the next page.
const NEXT: &str = "\
    /next /next_url /nextUrl /next_page_url /nextPageUrl /nextLink /@odata.nextLink /odata.nextLink /__next \
    /links/next /links/next/href /_links/next /_links/next/href /paging/next /pagination/next \
    /pagination/next_url /pagination/links/next /meta/next /meta/pagination/links/next /info/next \
    /nextRecordsUrl /after_url /next_page /nextPage /next_page/uri /more_topics_url /next_page_token \
    /nextPageToken /next_token /nextToken /NextToken /next_cursor /nextCursor /meta/next_cursor \
    /meta/next_token /meta/nextCursor /response_metadata/next_cursor /pagination/next_cursor \
    /pagination/cursor /paging/next/after /paging/cursors/after /pages/next/starting_after /cursor/next \
    /continue /continuation /continuationToken /nextContinuationToken /NextMarker /data/after /cursor /offset \
    /next_page_uri /next_uri /next_offset /nextPageStart /next-cursor /meta/links/next /meta/page/after \
    /pageToken /next_chunk_internal_link /links /link";

/// Where APIs say whether there is more.
const HAS_MORE: &str = "\
    /has_more /hasMore /has_next /hasNext /hasNextPage /meta/has_more /pagination/has_more \
    /pagination/has_next /pageInfo/hasNextPage /IsTruncated \
    /additional_data/pagination/more_items_in_collection /exceededTransferLimit \
    /properties/exceededTransferLimit /info/more_records /more_records /pagination/has_more_items \
    /has_more_items";

/// Where APIs say whether this is the last page.
pub(super) const IS_LAST: &str = "\
    /isLast /is_last /isLastPage /is_last_page /last /lastPage /last_page /endOfRecords /end_of_stream";

/// Where APIs say that they have left out records, for example since the query took too long.
const IS_PARTIAL: &str = "\
    /incomplete_results /partial /isPartial /is_partial /partialResults /partial_results \
    /responseHeader/partialResults /timed_out /manifest/truncated";

/// Where APIs count all records.
pub(super) const TOTAL: &str = "\
    /total /count /total_count /totalCount /total_results /totalResults /totalElements /total_records \
    /totalRecords /recordsTotal /total_items /totalItems /totalSize /numFound /nbHits /@odata.count \
    /total/value /meta/total /meta/total_count /meta/pagination/total /pagination/total /paging/total \
    /page/totalElements /0/total /total-results /meta/count /meta/results/total /numberMatched /totalFeatures \
    /context/matched /__count /totalRows /rowCount /itemsTotal /pagination/itemCount /treesize \
    /metadata/total_row_count /total_row_count";

/// Where APIs count their pages.
pub(super) const PAGES: &str = "\
    /pages /total_pages /totalPages /last_page /lastPage /page_count /pageCount /num_pages /numPages \
    /nbPages /info/pages /meta/pages /meta/total_pages /meta/totalPages /meta/last_page \
    /meta/pagination/total_pages /pagination/pages /pagination/total_pages /pagination/last_page \
    /pagination/pageCount /paging/pages /page/totalPages /0/pages";

/// A longer text around the records is not examined.
const MAX_AROUND: usize = 4 << 20;

/// The response with an empty array in the place of the records.
pub(crate) fn envelope_of(response: &Response, records: &Pointer) -> Option<Envelope> {
    let body = &response.body;
    let Ok(Located::At(range)) = records.locate(body) else { return None };
    let around = if records.is_root() && body[range.start] == b'{' {
        if body.len() > MAX_AROUND {
            return None;
        }
        body.to_vec()
    } else {
        if body.len() - range.len() > MAX_AROUND {
            return None;
        }
        [&body[..range.start], b"[]", &body[range.end..]].concat()
    };
    let around = String::from_utf8(around).ok()?;
    let value =
        serde_json::from_str(&around).or_else(|_| serde_json::from_str(&without_nan(&around))).ok()?;
    Some(Envelope { value, places: around_records(records) })
}

/// The places of the objects around the records, from the outer one to the inner one.
fn around_records(records: &Pointer) -> Vec<String> {
    let mut places = vec![];
    let mut place = records.clone();
    while !place.is_root() {
        place = place.parent();
        places.insert(0, place.to_string());
    }
    if places.is_empty() { vec![String::new()] } else { places }
}

/// A response with an empty array in the place of the records.
pub(crate) struct Envelope {
    value: Value,
    places: Vec<String>,
}

impl Envelope {
    /// The value at a path.
    pub(crate) fn at(&self, path: &str) -> Option<&Value> {
        self.value.pointer(path)
    }

    /// Where the URL or the cursor of the next page is, and the value there.
    pub(super) fn next_pages(&self) -> impl Iterator<Item = (String, &Value)> {
        self.all(NEXT).filter_map(|path| {
            let value = self.at(&path)?;
            Some((path, value))
        })
    }

    /// Where it says that there is more.
    pub(super) fn more_flags(&self) -> impl Iterator<Item = String> {
        self.all_that_are(HAS_MORE, true).chain(self.all_that_are(IS_LAST, false))
    }

    /// Where it says that records are missing.
    pub(crate) fn partial_flag(&self) -> Option<(String, &Value)> {
        let is_failed = |path: &String| self.is_above(path, 0);
        let is_text = |path: &String| self.at(path).is_some_and(|text| text.is_string());
        self.all_that_are(IS_PARTIAL, true)
            .chain(self.all("/_shards/failed").filter(is_failed))
            .chain(self.all("/remark").filter(is_text))
            .find_map(|path| Some((path.clone(), self.at(&path)?)))
    }

    /// Where it counts more records than `n`.
    pub(super) fn records_above(&self, n: u64) -> impl Iterator<Item = String> {
        self.all(TOTAL).filter(move |path| self.is_above(path, n))
    }

    /// Where it counts more pages than `n`.
    pub(super) fn pages_above(&self, n: u64) -> impl Iterator<Item = String> {
        self.all(PAGES).filter(move |path| self.is_above(path, n))
    }

    /// Whether the number at a path, which may also be written as a string, is greater than `n`.
    pub(super) fn is_above(&self, path: &str, n: u64) -> bool {
        let number = self.at(path).and_then(|it| it.as_u64().or_else(|| it.as_str()?.trim().parse().ok()));
        number.is_some_and(|number| number > n)
    }

    fn all_that_are(&self, paths: &'static str, value: bool) -> impl Iterator<Item = String> {
        self.all(paths).filter(move |path| self.at(path) == Some(&Value::Bool(value)))
    }

    /// Some paths, in every object around the records.
    fn all(&self, paths: &'static str) -> impl Iterator<Item = String> {
        self.places.iter().flat_map(move |place| paths.split(' ').map(move |path| format!("{place}{path}")))
    }
}

/// Whether a path is one of these.
pub(super) fn is_among(pointer: &Pointer, paths: &str) -> bool {
    paths.split(' ').any(|path| path == pointer.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_around_the_records_are_found_at_every_level() {
        let envelope = |records: &str, value: Value| {
            let records = Pointer::try_from(records.to_owned()).unwrap();
            Envelope { value, places: around_records(&records) }
        };
        let nested = envelope(
            "/data/issues/nodes",
            serde_json::json!({"data": {"issues": {"nodes": [], "pageInfo": {"hasNextPage": true}, "totalCount": "9"}}}),
        );
        assert_eq!(nested.more_flags().next().unwrap(), "/data/issues/pageInfo/hasNextPage");
        assert_eq!(nested.records_above(8).next().unwrap(), "/data/issues/totalCount");
        assert_eq!(nested.records_above(9).next(), None);
        let solr = envelope("/response/docs", serde_json::json!({"response": {"numFound": 5, "docs": []}}));
        assert_eq!(solr.records_above(1).next().unwrap(), "/response/numFound");
        let root = envelope("", serde_json::json!({"next": "x", "pages": 3}));
        assert_eq!(root.next_pages().next().unwrap().0, "/next");
        assert_eq!(root.pages_above(1).next().unwrap(), "/pages");
        let not_last = envelope("/values", serde_json::json!({"values": [], "isLastPage": false}));
        assert_eq!(not_last.more_flags().next().unwrap(), "/isLastPage");
        let last = envelope("/values", serde_json::json!({"values": [], "isLastPage": true}));
        assert_eq!(last.more_flags().next(), None);
    }

    #[test]
    fn response_that_says_that_records_are_missing_is_detected() {
        let partial = |value: Value| {
            let envelope = Envelope { value, places: vec![String::new(), "/hits".into()] };
            envelope.partial_flag().map(|(path, _)| path)
        };
        for (value, path) in [
            (serde_json::json!({"incomplete_results": true}), "/incomplete_results"),
            (serde_json::json!({"timed_out": true, "_shards": {"failed": 0}}), "/timed_out"),
            (serde_json::json!({"timed_out": false, "_shards": {"failed": 2}}), "/_shards/failed"),
            (serde_json::json!({"remark": "runtime error: Query timed out"}), "/remark"),
            (
                serde_json::json!({"responseHeader": {"partialResults": true}}),
                "/responseHeader/partialResults",
            ),
        ] {
            assert_eq!(partial(value).as_deref(), Some(path));
        }
        assert_eq!(
            partial(serde_json::json!({"timed_out": false, "_shards": {"failed": 0}, "remark": null})),
            None
        );
    }
}
