//! Whatever bytes a file holds, loading ends with rows or with an error.

use proptest::prelude::*;

use super::*;

fn load_anyhow(name: &str, bytes: &[u8]) {
    let folder = Folder::with(name, bytes);
    for spec in
        [by(&["a"], regression(name, "y")), classification(name, "y"), regression(name, "a")]
    {
        if let Ok(dataset) = folder.load(&spec) {
            let n_rows: usize = (0..dataset.entities().len() as u32)
                .map(|entity| dataset.frame(entity).n_rows)
                .sum();
            assert_eq!(n_rows, dataset.n_rows());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        load_anyhow("t.csv", &bytes);
    }

    #[test]
    fn anything_like_csv(body in "(([0-9]{1,3}|[a-c]|true|NA|2024-01-0[1-9]|\"|-|é|inf|1e400|)[,;\t\n]){0,40}") {
        load_anyhow("t.csv", format!("a,y\n{body}").as_bytes());
    }

    #[test]
    fn damaged_parquet(
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        keep in any::<prop::sample::Index>(),
    ) {
        let mut bytes = parquets::written();
        for (position, value) in flips {
            let position = position.index(bytes.len());
            bytes[position] = value;
        }
        load_anyhow("t.parquet", &bytes);
        // The last bytes lead to the rest, so cut in the middle.
        let cut = keep.index(bytes.len());
        bytes.drain(cut..(cut + 9).min(bytes.len()));
        load_anyhow("t.parquet", &bytes);
    }
}
