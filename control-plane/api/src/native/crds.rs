//! The CustomResourceDefinitions of the native kinds.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::CustomResourceExt;

use super::{ProxyBackend, ProxyGateway, ProxyRoute};

/// The CustomResourceDefinitions, made from the types.
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut crds = vec![ProxyGateway::crd(), ProxyRoute::crd(), ProxyBackend::crd()];
    for crd in &mut crds {
        crd.spec.names.categories = Some(vec!["novaedge".to_owned()]);
        let schemas = crd
            .spec
            .versions
            .iter_mut()
            .filter_map(|version| version.schema.as_mut());
        for schema in schemas.filter_map(|schema| schema.open_api_v3_schema.as_mut()) {
            simplify(schema);
        }
    }
    crds
}

/// Kubernetes warns of formats that it does not know, such as those of Rust's unsigned integers, and drops a null where
/// none is allowed, which is what absence means here.
fn simplify(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    if let Some(format) = schema.format.take_if(|format| format.starts_with("uint")) {
        let (format, maximum) = match format.as_str() {
            "uint32" => (Some("int64"), f64::from(u32::MAX)),
            "uint16" => (Some("int32"), f64::from(u16::MAX)),
            _ => (Some("int64"), 9_007_199_254_740_991.0),
        };
        schema.format = format.map(str::to_owned);
        schema.maximum.get_or_insert(maximum);
    }
    schema
        .properties
        .iter_mut()
        .flatten()
        .for_each(|(_, property)| simplify(property));
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => simplify(items),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(simplify),
        None => {}
    }
}
