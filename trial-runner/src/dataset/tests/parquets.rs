//! Parquet files: written here with the library, and by pyarrow.

use std::sync::Arc;

use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DoubleType, FixedLenByteArray, FixedLenByteArrayType,
    FloatType, Int32Type, Int64Type, Int96, Int96Type,
};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;

use super::*;

const SCHEMA: &str = "
message table {
  required double y;
  optional int32 a;
  optional byte_array word (UTF8);
  optional boolean flag;
  required int32 day (DATE);
  required int64 moment (TIMESTAMP_MILLIS);
  required int96 old;
  required int64 price (DECIMAL(10, 2));
  required fixed_len_byte_array(3) cost (DECIMAL(6, 1));
  required float share;
  required int32 size (UINT_8);
}";

fn write(compression: Compression) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
    let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, properties).unwrap();
    // Two row groups of two rows each.
    for group in 0..2 {
        let mut rows = writer.next_row_group().unwrap();
        macro_rules! column {
            ($type:ty, $values:expr, $levels:expr) => {{
                let mut column = rows.next_column().unwrap().unwrap();
                let levels: Option<&[i16]> = $levels;
                column.typed::<$type>().write_batch(&$values, levels, None).unwrap();
                column.close().unwrap();
            }};
        }
        let word = |text: &str| ByteArray::from(text);
        let bytes = |raw: [u8; 3]| FixedLenByteArray::from(raw.to_vec());
        let mut old = Int96::new();
        // 06:00 on 1970-01-03.
        let nanoseconds = 6_u64 * 3_600_000_000_000;
        old.set_data(nanoseconds as u32, (nanoseconds >> 32) as u32, 2_440_590);
        column!(DoubleType, [1.0 + f64::from(group), 0.5], None);
        column!(Int32Type, [7], Some(&[1, 0]));
        column!(ByteArrayType, [word("red")], Some(&[0, 1]));
        column!(BoolType, [true, false], Some(&[1, 1]));
        column!(Int32Type, [19_723, 19_723 + group], None);
        column!(Int64Type, [1_704_067_200_500_i64, 1_704_067_200_000], None);
        column!(Int96Type, [old, old], None);
        column!(Int64Type, [1234_i64, -5], None);
        column!(FixedLenByteArrayType, [bytes([0, 0, 15]), bytes([255, 255, 255])], None);
        column!(FloatType, [0.25_f32, f32::NAN], None);
        column!(Int32Type, [200, 3], None);
        rows.close().unwrap();
    }
    writer.close().unwrap();
    bytes
}

/// A small file with every physical type.
pub(super) fn written() -> Vec<u8> {
    write(Compression::SNAPPY)
}

#[test]
fn every_type_and_every_compression() {
    let mut all = Vec::new();
    for compression in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(Default::default()),
        Compression::ZSTD(ZstdLevel::default()),
        Compression::LZ4_RAW,
    ] {
        let folder = Folder::with("t.parquet", write(compression));
        let dataset = folder.load(&regression("t.parquet", "y")).unwrap();
        all.push(show(&dataset.frame(0)));
    }
    all.dedup();
    assert_eq!(all.len(), 1);
    insta::assert_snapshot!(all[0], @r"
    a: 7 _ 7 _
    word: _ red _ red
    flag: 1 0 1 0
    day.day: 1 1 1 2
    day.weekday: 1 1 1 2
    day.day_of_year: 1 1 1 2
    day.elapsed: 19723 19723 19723 19724
    moment.elapsed: 19723.00000578704 19723 19723.00000578704 19723
    price: 12.34 -0.05 12.34 -0.05
    cost: 1.5 -0.1 1.5 -0.1
    share: 0.25 _ 0.25 _
    size: 200 3 200 3
    -> 1 0.5 2 0.5
    ");
}

#[test]
fn parquet_is_found_by_content_and_keeps_its_header() {
    let folder = Folder::with("table.data", written());
    let names = header(&folder.path(), &source("table.data")).unwrap();
    assert_eq!(names.len(), 11);
    assert_eq!(names[2], "word");
    let error = folder.load(&regression("table.data", "word")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "table.data, row 2: the target \"word\" is not numeric: it holds \"red\""
    );
    let cut = Folder::with("t.parquet", &written()[..200]);
    let error = cut.load(&regression("t.parquet", "y")).unwrap_err();
    assert_eq!(error.fault, Fault::Unreadable);
    assert!(error.to_string().starts_with("t.parquet: cannot be read as parquet"), "{error}");
}

#[test]
fn files_of_pyarrow() {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut all = Vec::new();
    for file in ["snappy.parquet", "zstd.parquet"] {
        let dataset = Dataset::load(&base, &by(&["store"], regression(file, "sales"))).unwrap();
        let keys: Vec<String> = dataset.entities().iter().map(ToString::to_string).collect();
        all.push(format!("{}\n{}", keys.join(" "), show(&dataset.frame(1))));
    }
    assert_eq!(all[0], all[1]);
    insta::assert_snapshot!(all[0], @r"
    1 2
    brand: a b
    day.day: 1 5
    day.weekday: 1 5
    day.day_of_year: 1 5
    day.elapsed: 19723 19727
    at.hour: 0 4
    at.elapsed: 19723 19723.166666666668
    text_day.day: 1 5
    text_day.weekday: 4 1
    text_day.day_of_year: 32 36
    text_day.elapsed: 19754 19758
    promo: 1 0
    price: 1.25 0.01
    half: 0.5 -1
    -> 1 5.5
    ");
}
