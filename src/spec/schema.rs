//! The JSON Schemas of the files that people write, for editors and for the reference.

use schemars::Schema;
use schemars::generate::SchemaSettings;

use super::{Installation, Mapping, MappingTests};

/// A file that people write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// `NAME.yaml`: a mapping.
    Mapping,
    /// `NAME.test.yaml`: its tests.
    Test,
    /// `patchcord.yaml`: an installation.
    Installation,
}

/// The JSON Schema of a file; its members stand in the order of the types.
pub fn schema(kind: FileKind) -> Schema {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let (mut schema, title) = match kind {
        FileKind::Mapping => (generator.into_root_schema_for::<Mapping>(), "A Patchcord mapping"),
        FileKind::Test => (generator.into_root_schema_for::<MappingTests>(), "Tests of a Patchcord mapping"),
        FileKind::Installation => {
            (generator.into_root_schema_for::<Installation>(), "A Patchcord installation")
        }
    };
    schema.insert("title".into(), title.into());
    schema
}
