//! Back from a Parquet file: its rows as the values that `column` wrote. Row groups are in memory one at a time.

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field as Cell;
use std::fs::File;
use std::path::Path;
use weir_connector::{ErrorClass, JobInfo, Read, SinkError, StoredItem, read};
use weir_model::{Field, FieldKind, Value};

/// Every row of a file. Rows of several item types have the same columns: a row is of the type most of whose columns hold something.
pub(crate) fn read(path: &Path, file: File, job: &JobInfo, each: &mut dyn FnMut(StoredItem)) -> Result<(), SinkError> {
    let broken = |error: ParquetError| {
        SinkError::new(
            ErrorClass::Configuration,
            format!("it cannot be read ({error})"),
            path.display().to_string(),
            "a Parquet file as weir wrote it",
            "Was it changed, or is the job unfinished? Write it anew with a crawl",
        )
    };
    let reader = SerializedFileReader::new(file).map_err(broken)?;
    let columns = reader.metadata().file_metadata().schema().get_fields();
    let columns: Vec<String> = columns.iter().map(|column| column.name().to_owned()).collect();
    let place_of = |field: &Field| columns.iter().position(|column| *column == field.name);
    let types: Vec<Vec<Option<usize>>> =
        job.schemas.iter().map(|schema| schema.fields.iter().map(place_of).collect()).collect();
    for row in reader.get_row_iter(None).map_err(broken)? {
        let cells = row.map_err(broken)?.into_columns();
        let filled = |places: &[Option<usize>]| {
            places.iter().flatten().filter(|at| cells.get(**at).is_some_and(|(_, cell)| *cell != Cell::Null)).count()
        };
        // Of types that hold as much, the one of the fewest fields: it has the fewest empty ones.
        let Some(schema) = (0..types.len()).max_by_key(|at| (filled(&types[*at]), usize::MAX - types[*at].len()))
        else {
            return Ok(());
        };
        let fields = job.schemas[schema].fields.iter().zip(&types[schema]);
        let values = fields.map(|(field, at)| match at.and_then(|at| cells.get(at)) {
            Some((_, cell)) => value(field, cell),
            None => Read::Unsure(Value::Null),
        });
        each(StoredItem { schema: schema as u16, id: None, version: None, hash: None, values: values.collect() });
    }
    Ok(())
}

fn value(field: &Field, cell: &Cell) -> Read {
    match cell {
        Cell::Null => Read::Value(Value::Null),
        Cell::ListInternal(list) if field.many => {
            let one_of = Field { many: false, ..field.clone() };
            let mut values = Vec::with_capacity(list.elements().len());
            for cell in list.elements() {
                match value(&one_of, cell) {
                    Read::Value(value) => values.push(value),
                    other => return other,
                }
            }
            Read::Value(Value::List(values))
        }
        _ if field.many => Read::Foreign,
        cell => one(field, cell),
    }
}

fn one(field: &Field, cell: &Cell) -> Read {
    let value = match (field.kind, cell) {
        (FieldKind::Str, Cell::Str(text)) => Value::Str(text.as_str().into()),
        (FieldKind::Json, Cell::Str(text)) => {
            return serde_json::from_str(text).map_or(Read::Foreign, |json| read::from_json(field, &json));
        }
        (FieldKind::Int, Cell::Long(number)) => Value::Int(*number),
        (FieldKind::Float, Cell::Double(number)) => Value::Float(*number),
        (FieldKind::Bool, Cell::Bool(truth)) => Value::Bool(*truth),
        (FieldKind::Datetime, Cell::TimestampMillis(ms)) => Value::Datetime(*ms),
        // As the library writes days since 1970: YYYY-MM-DD.
        (FieldKind::Date, Cell::Date(_)) => Value::Str(cell.to_string().into()),
        (FieldKind::GeoPoint, Cell::Group(place)) => {
            let degrees = |name: &str| {
                place.get_column_iter().find(|(column, _)| *column == name).and_then(|(_, cell)| match cell {
                    Cell::Double(degrees) => Some(*degrees),
                    _ => None,
                })
            };
            match degrees("lat").zip(degrees("lon")) {
                Some((lat, lon)) => Value::Geo { lat, lon },
                None => return Read::Foreign,
            }
        }
        _ => return Read::Foreign,
    };
    Read::Value(value)
}
