//! Resources: the tree of an API's paths.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/api/API_CreateResource.html>

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tollgate_model::control_plane::{Resource, RestApi};
use tollgate_model::openapi::{MAX_PATH, check_path_part};

use crate::call::{Answer, Call};
use crate::context::Context;
use crate::error::ApiError;
use crate::names::{ID, keys};
use crate::operations::method_parts::{INVALID_RESOURCE, resource, shown};
use crate::operations::rest_apis::api;
use crate::page;
use crate::patch::{Patch, Patchable, patches};
use crate::router::Operation;
use crate::unit::Unit;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "CreateResource",
        method: Method::POST,
        uri: "/restapis/{restapi_id}/resources/{parent_id}",
        status: 201,
        run: create,
    },
    Operation {
        name: "GetResources",
        method: Method::GET,
        uri: "/restapis/{restapi_id}/resources",
        status: 200,
        run: list,
    },
    Operation {
        name: "GetResource",
        method: Method::GET,
        uri: "/restapis/{restapi_id}/resources/{resource_id}",
        status: 200,
        run: get,
    },
    Operation {
        name: "UpdateResource",
        method: Method::PATCH,
        uri: "/restapis/{restapi_id}/resources/{resource_id}",
        status: 200,
        run: update,
    },
    Operation {
        name: "DeleteResource",
        method: Method::DELETE,
        uri: "/restapis/{restapi_id}/resources/{resource_id}",
        status: 202,
        run: delete,
    },
];

const PATCHABLE: Patchable =
    Patchable { replace: &["/parentId", "/pathPart"], add: &[], remove: &[] };

/// A resource without its methods, which the tree does not need.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    id: String,
    parent_id: Option<String>,
    path_part: Option<String>,
    path: String,
}

/// The resources of an API.
struct Tree(Vec<Node>);

fn create(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let input = call.input()?;
    let path_part = input.text("pathPart")?.unwrap_or_default();
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        let tree = Tree::read(unit, &api)?;
        let parent = tree.node(call.part("parent_id"))?;
        tree.check_child(parent, &path_part, None)?;
        let resource = Resource {
            id: unit.new_id(ID, |id| keys::resource(&api.id, id))?,
            parent_id: Some(parent.id.clone()),
            path: path_below(parent, &path_part)?,
            path_part: Some(path_part.clone()),
            resource_methods: Default::default(),
        };
        unit.put(keys::resource(&api.id, &resource.id), &resource);
        Ok(Answer::Json(show(&resource, false)))
    })
}

fn list(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let api = api(context, unit, call)?;
        let under = keys::of_api(&api.id, "resources");
        let embed = embeds_methods(call);
        page::list(call, unit, &under, |_: &Resource| true, |it| show(it, embed))
    })
}

fn get(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let (_, resource) = resource(context, unit, call)?;
        Ok(Answer::Json(show(&resource, embeds_methods(call))))
    })
}

fn update(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    let patches = patches(call)?;
    context.carry_out(|unit| {
        let (api, resource) = resource(context, unit, call)?;
        let mut tree = Tree::read(unit, &api)?;
        for patch in &patches {
            PATCHABLE.check(patch)?;
            tree.update(&resource.id, patch)?;
        }
        let top = tree.node(&resource.id)?;
        for node in tree.0.iter().filter(|node| is_below(&node.path, &top.path)) {
            let key = keys::resource(&api.id, &node.id);
            let known: Option<Resource> = unit.get(&key)?;
            if let Some(known) = known {
                let Node { parent_id, path_part, path, .. } = node.clone();
                unit.put(key, &Resource { parent_id, path_part, path, ..known });
            }
        }
        let updated = unit.get(&keys::resource(&api.id, &resource.id))?;
        Ok(Answer::Json(show(&updated.unwrap_or(resource), false)))
    })
}

fn delete(context: &Context, call: &Call) -> Result<Answer, ApiError> {
    context.carry_out(|unit| {
        let (api, resource) = resource(context, unit, call)?;
        if resource.parent_id.is_none() {
            return Err(ApiError::bad_request("Root resource cannot be deleted."));
        }
        let tree = Tree::read(unit, &api)?;
        for node in tree.0.iter().filter(|node| is_below(&node.path, &resource.path)) {
            unit.delete(keys::resource(&api.id, &node.id));
        }
        Ok(Answer::Empty)
    })
}

fn embeds_methods(call: &Call) -> bool {
    call.queries("embed").flat_map(|text| text.split(',')).any(|name| name == "methods")
}

/// A resource as it is answered: methods are named only, unless they are asked for.
fn show(resource: &Resource, embed_methods: bool) -> Value {
    let mut value = shown(resource);
    if let Some(Value::Object(methods)) = value.get_mut("resourceMethods")
        && !embed_methods
    {
        methods.values_mut().for_each(|method| *method = json!({}));
    }
    value
}

impl Tree {
    fn read(unit: &mut Unit, api: &RestApi) -> Result<Self, ApiError> {
        Ok(Self(unit.list(&keys::of_api(&api.id, "resources"))?))
    }

    fn node(&self, id: &str) -> Result<&Node, ApiError> {
        let found = self.0.iter().find(|node| node.id == id);
        found.ok_or_else(|| ApiError::not_found(INVALID_RESOURCE))
    }

    fn children<'t>(&'t self, parent: &'t Node) -> impl Iterator<Item = &'t Node> {
        self.0.iter().filter(|node| node.parent_id.as_deref() == Some(&parent.id))
    }

    /// Whether a resource may have this name below that one; `itself` is the one that moves there.
    fn check_child(
        &self,
        parent: &Node,
        path_part: &str,
        itself: Option<&str>,
    ) -> Result<(), ApiError> {
        check_path_part(path_part).map_err(ApiError::bad_request)?;
        let siblings = || {
            let siblings = self.children(parent).filter(|node| itself != Some(&node.id));
            siblings.filter_map(|node| node.path_part.as_deref())
        };
        if siblings().any(|sibling| sibling == path_part) {
            return Err(ApiError::conflict(format!(
                "Another resource with the same parent already has this name: {path_part}"
            )));
        }
        if let Some(greedy) = parent.path_part.as_deref().filter(|part| is_greedy(part)) {
            return Err(child_of_greedy(greedy));
        }
        // Recorded: below the root one variable only, elsewhere a greedy one beside a plain one.
        let at_root = parent.parent_id.is_none();
        let excludes = |sibling: &&str| {
            is_variable(sibling) && (at_root || is_greedy(sibling) == is_greedy(path_part))
        };
        match siblings().find(excludes).filter(|_| is_variable(path_part)) {
            Some(sibling) => Err(ApiError::bad_request(format!(
                "A sibling ({sibling}) of this resource already has a variable path part -- only one is allowed"
            ))),
            None => Ok(()),
        }
    }

    /// Renames or moves a resource with all below it.
    fn update(&mut self, id: &str, patch: &Patch) -> Result<(), ApiError> {
        let node = self.node(id)?.clone();
        let member = patch.path.trim_start_matches('/');
        let (Some(parent_id), Some(path_part)) = (&node.parent_id, &node.path_part) else {
            let text = format!("Root resource cannot update its {member}.");
            return Err(ApiError::bad_request(text));
        };
        let value = patch.text()?;
        let (parent_id, path_part) = match member {
            "parentId" => (value, path_part.as_str()),
            _ => (parent_id.as_str(), value),
        };
        let parent = self.node(parent_id)?.clone();
        if is_below(&parent.path, &node.path) {
            return Err(ApiError::bad_request("Resources cannot be cyclical."));
        }
        self.check_child(&parent, path_part, Some(id))?;
        if is_greedy(path_part) && self.children(&node).next().is_some() {
            return Err(child_of_greedy(path_part));
        }
        let path = path_below(&parent, path_part)?;
        for below in self.0.iter_mut().filter(|it| is_below(&it.path, &node.path)) {
            below.path = bounded(format!("{path}{}", &below.path[node.path.len()..]))?;
            if below.id == node.id {
                below.parent_id = Some(parent.id.clone());
                below.path_part = Some(path_part.to_owned());
            }
        }
        Ok(())
    }
}

/// Whether a path is that one or below it.
fn is_below(path: &str, top: &str) -> bool {
    let rest = path.strip_prefix(top.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn path_below(parent: &Node, path_part: &str) -> Result<String, ApiError> {
    bounded(format!("{}/{path_part}", parent.path.trim_end_matches('/')))
}

fn bounded(path: String) -> Result<String, ApiError> {
    if path.len() <= MAX_PATH {
        return Ok(path);
    }
    Err(ApiError::bad_request(format!(
        "the path has {} bytes; at most {MAX_PATH} are allowed",
        path.len()
    )))
}

fn is_variable(path_part: &str) -> bool {
    path_part.starts_with('{')
}

fn is_greedy(path_part: &str) -> bool {
    path_part.ends_with("+}")
}

fn child_of_greedy(greedy: &str) -> ApiError {
    ApiError::bad_request(format!(
        "Cannot create a child of a resource with a greedy path variable: {greedy}"
    ))
}

#[cfg(test)]
mod tests;
