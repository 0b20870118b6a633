//! Statuses that routes and policies share.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::{Deserialize, Serialize};

use super::refs::ParentReference;

/// Status of a route: one entry for each parent and controller.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteStatus {
    /// What each parent's controller says; at most 32.
    #[serde(default)]
    pub parents: Vec<RouteParentStatus>,
}

/// What one controller says about a route's attachment to one parent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteParentStatus {
    /// The parent, as the route's spec names it.
    pub parent_ref: ParentReference,
    /// The controller that wrote this entry.
    pub controller_name: String,
    /// One to eight conditions.
    #[serde(default)]
    pub conditions: Vec<Condition>,
}

/// Status of a policy: one entry for each ancestor and controller.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyStatus {
    /// What each ancestor's controller says; at most 16.
    #[serde(default)]
    pub ancestors: Vec<PolicyAncestorStatus>,
}

/// What one controller says about a policy under one ancestor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyAncestorStatus {
    /// The ancestor, usually a Gateway.
    pub ancestor_ref: ParentReference,
    /// The controller that wrote this entry.
    pub controller_name: String,
    /// One to eight conditions.
    #[serde(default)]
    pub conditions: Vec<Condition>,
}
