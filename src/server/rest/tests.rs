//! Does every route answer what it should, whatever is asked?

use axum::body::Body;
use axum::http::{Method, StatusCode};
use serde_json::Value;

use super::*;
use crate::server::caller::Served;

/// A front whose sampler has said nothing yet.
fn silent() -> Served {
    let sampled = Sampled::new();
    let events = Events::new(&sampled);
    let guarded = routes(Guarded::new(), &sampled, &events, waited::Queue::new(), 500);
    guarded.served(unknown)
}

async fn ask(method: Method, path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, String) {
    let mut request = Request::builder().method(method).uri(path).extension(Caller::own());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = silent().answer(request.body(Body::empty()).unwrap()).await;
    let (parts, body) = response.into_parts();
    let is_stream = parts.headers.get("content-type").is_some_and(|media| media == events::MEDIA);
    let body =
        if is_stream { axum::body::Bytes::default() } else { axum::body::to_bytes(body, 1 << 20).await.unwrap() };
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A path of a route with names that there are.
fn example(route: &Route) -> String {
    route.path.replace("{table}", "load").replace("{column}", "one")
}

fn refusal(body: &str) -> Value {
    let value: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"));
    assert!(value["error"].is_string() && value["hint"].is_string(), "{body}");
    value
}

#[test]
fn every_route_is_read_and_nothing_else() {
    wait(async {
        for route in ROUTES {
            let path = example(route);
            for method in [Method::GET, Method::HEAD] {
                let (status, headers, body) = ask(method.clone(), &path, &[]).await;
                assert!(status == StatusCode::OK || status == StatusCode::SERVICE_UNAVAILABLE, "{path}: {status}");
                assert_eq!(headers["cache-control"], "no-store", "{path}");
                assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
                assert!(method == Method::GET || body.is_empty(), "{path}: {body}");
                if status != StatusCode::OK && method == Method::GET {
                    refusal(&body);
                    assert_eq!(headers["retry-after"], "1", "{path}");
                }
            }
            for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS, Method::TRACE] {
                let (status, headers, body) = ask(method.clone(), &path, &[("origin", "http://elsewhere")]).await;
                assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
                assert_eq!(headers["allow"], "GET, HEAD", "{path}");
                assert!(headers.keys().all(|name| !name.as_str().starts_with("access-control")), "{path}");
                refusal(&body);
            }
            let (status, _, body) = ask(Method::GET, &format!("{path}?nonsense=1"), &[]).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
            assert!(refusal(&body)["error"].as_str().unwrap().contains("nonsense"), "{body}");
            let (status, _, body) = ask(Method::GET, &path, &[("accept", "image/png")]).await;
            assert_eq!(status, StatusCode::NOT_ACCEPTABLE, "{path}");
            let offered = route.media[0];
            assert!(refusal(&body)["hint"].as_str().unwrap().contains(offered), "{body}");
        }
    });
}

#[test]
fn the_document_describes_every_route_with_its_parameters() {
    let document = openapi::document();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["paths"].as_object().unwrap().len(), ROUTES.len());
    for route in ROUTES {
        let operation = &document["paths"][route.path]["get"];
        let parameters = operation["parameters"].as_array().unwrap();
        let named = |place: &str| parameters.iter().filter(|parameter| parameter["in"] == place).count();
        assert_eq!(named("path"), route.path.matches('{').count(), "{}", route.path);
        assert_eq!(named("query"), route.parameters.len(), "{}", route.path);
        let media = operation["responses"]["200"]["content"].as_object().unwrap();
        assert!(media.keys().eq(route.media), "{}", route.path);
    }
}

#[test]
fn mistakes_are_told_with_their_place_and_what_is_near() {
    wait(async {
        for (path, status, error, hint) in [
            ("/api/v1/tables/laod", 404, "laod", "`load`"),
            ("/api/v1/table", 404, "/api/v1/table", "`/api/v1/tables`"),
            ("/nowhere/at/all", 404, "/nowhere", "openapi.json"),
            ("/api/v1/tables/load?columns=onw", 400, "onw", "`one`"),
            ("/api/v1/tables/load?sort=-onw", 400, "onw", "`one`"),
            ("/api/v1/tables/load?columns=one,one", 400, "twice", ""),
            ("/api/v1/tables/load?limit=-1", 400, "limit", ""),
            ("/api/v1/tables/load?limit=10001", 400, "limit", ""),
            ("/api/v1/tables/load?rate=fast", 400, "rate", ""),
            ("/api/v1/tables/load?where=one+=+1", 400, "where, column 5", "=="),
            ("/api/v1/tables/load?where=%FF", 400, "UTF-8", ""),
            ("/api/v1/tables/process_file", 400, "pid", "pid == "),
            ("/api/v1/history/load/onw", 404, "onw", "`one`"),
            ("/api/v1/history/process/name", 400, "no number", ""),
            ("/api/v1/history/load/one?since=yesterday", 400, "since", "10m"),
            ("/api/v1/history/load/one?step=-1s", 400, "step", "10m"),
        ] {
            let (got, _, body) = ask(Method::GET, path, &[]).await;
            let told = refusal(&body);
            assert_eq!(got.as_u16(), status, "{path}: {body}");
            assert!(told["error"].as_str().unwrap().contains(error), "{path}: {body}");
            assert!(told["hint"].as_str().unwrap().contains(hint), "{path}: {body}");
        }
        let (_, _, body) = ask(Method::GET, "/api/v1/tables/load?where=one+=+1", &[]).await;
        assert_eq!(refusal(&body)["column"], 5);
    });
}

#[test]
fn a_reader_that_has_the_same_already_gets_only_that() {
    wait(async {
        let (_, headers, body) = ask(Method::GET, "/api/v1/schema", &[]).await;
        let tag = headers["etag"].to_str().unwrap().to_owned();
        assert_eq!(body, format!("{}\n", crate::export::schema(crate::wire::schema::own().tables)));
        let (status, headers, body) = ask(Method::GET, "/api/v1/schema", &[("if-none-match", &tag)]).await;
        assert_eq!((status, body.as_str(), headers["etag"].to_str().unwrap()), (StatusCode::NOT_MODIFIED, "", &*tag));
        for (known, expected) in [
            (format!("W/{tag}"), StatusCode::NOT_MODIFIED),
            (format!("\"other\", {tag}"), StatusCode::NOT_MODIFIED),
            ("*".to_owned(), StatusCode::NOT_MODIFIED),
            ("\"other\"".to_owned(), StatusCode::OK),
        ] {
            let (status, ..) = ask(Method::GET, "/api/v1/schema", &[("if-none-match", &known)]).await;
            assert_eq!(status, expected, "{known}");
        }
    });
}

#[test]
fn more_readers_of_events_than_there_are_places_are_sent_away() {
    wait(async {
        let router = silent();
        let ask = || {
            let request = Request::builder().uri("/api/v1/events").extension(Caller::own());
            let request = request.body(Body::empty()).unwrap();
            router.answer(request)
        };
        let mut open = Vec::new();
        loop {
            let response = ask().await;
            if response.status() != StatusCode::OK {
                assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
                break;
            }
            open.push(response);
            assert!(open.len() <= 1000);
        }
        open.pop();
        assert_eq!(ask().await.status(), StatusCode::OK);
    });
}

#[test]
fn an_unknown_method_of_grpc_is_told_in_its_own_way() {
    wait(async {
        let (status, headers, _) = ask(Method::POST, "/x.Y/Z", &[("content-type", "application/grpc")]).await;
        assert_eq!((status, headers["grpc-status"].to_str().unwrap()), (StatusCode::OK, "12"));
    });
}
