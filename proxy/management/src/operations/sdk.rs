//! What Tollgate has no counterpart for: generated SDKs, and private domain names with the VPC
//! endpoints that may use them. Each operation is refused by name.

use http::Method;

use crate::call::{Answer, Call};
use crate::context::Context;
use crate::error::ApiError;
use crate::router::Operation;

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "GetSdk",
        method: Method::GET,
        uri: "/restapis/{restapi_id}/stages/{stage_name}/sdks/{sdk_type}",
        status: 200,
        run: no_sdks,
    },
    Operation {
        name: "GetSdkTypes",
        method: Method::GET,
        uri: "/sdktypes",
        status: 200,
        run: no_sdks,
    },
    Operation {
        name: "GetSdkType",
        method: Method::GET,
        uri: "/sdktypes/{sdktype_id}",
        status: 200,
        run: no_sdks,
    },
    Operation {
        name: "CreateDomainNameAccessAssociation",
        method: Method::POST,
        uri: "/domainnameaccessassociations",
        status: 201,
        run: no_private_domain_names,
    },
    Operation {
        name: "GetDomainNameAccessAssociations",
        method: Method::GET,
        uri: "/domainnameaccessassociations",
        status: 200,
        run: no_private_domain_names,
    },
    Operation {
        name: "DeleteDomainNameAccessAssociation",
        method: Method::DELETE,
        uri: "/domainnameaccessassociations/{domain_name_access_association_arn+}",
        status: 202,
        run: no_private_domain_names,
    },
    Operation {
        name: "RejectDomainNameAccessAssociation",
        method: Method::POST,
        uri: "/rejectdomainnameaccessassociations",
        status: 202,
        run: no_private_domain_names,
    },
];

fn no_sdks(_: &Context, call: &Call) -> Result<Answer, ApiError> {
    Err(ApiError::unsupported(
        call.operation,
        "it generates no SDKs. Export the stage's definition with GetExport and give it to an OpenAPI generator",
    ))
}

fn no_private_domain_names(_: &Context, call: &Call) -> Result<Answer, ApiError> {
    Err(ApiError::unsupported(call.operation, "it has no private domain names"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::fixture;

    #[test]
    fn what_is_not_supported_says_so_by_name() {
        let arn = "arn:aws:apigateway:us-east-1:1:/domainnameaccessassociations/domainname/a/vpcesource/b";
        for (method, uri, name) in [
            ("GET", "/restapis/a/stages/b/sdks/java", "GetSdk"),
            ("GET", "/sdktypes", "GetSdkTypes"),
            ("GET", "/sdktypes/java", "GetSdkType"),
            ("POST", "/domainnameaccessassociations", "CreateDomainNameAccessAssociation"),
            ("GET", "/domainnameaccessassociations", "GetDomainNameAccessAssociations"),
            (
                "DELETE",
                &format!("/domainnameaccessassociations/{arn}"),
                "DeleteDomainNameAccessAssociation",
            ),
            ("POST", "/rejectdomainnameaccessassociations", "RejectDomainNameAccessAssociation"),
        ] {
            let body = if method == "POST" { json!({}) } else { Value::Null };
            let refused = fixture().refused(method, uri, body);
            let start =
                format!("400 BadRequestException: {name} is not supported by Tollgate: it ");
            assert!(refused.starts_with(&start), "{refused}");
        }
    }
}
