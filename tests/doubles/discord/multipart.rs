//! Just enough of multipart/form-data to read what a bot sends: `payload_json` and files.

/// The parts of a form.
#[derive(Debug, Default)]
pub(super) struct Form {
    pub payload_json: Option<Vec<u8>>,
    pub files: Vec<Part>,
    /// Names of other parts.
    pub others: Vec<String>,
}

/// A file as it comes.
#[derive(Debug)]
pub(super) struct Part {
    /// `files[0]`
    pub field: String,
    pub name: String,
    pub content_type: Option<String>,
    pub bytes: Vec<u8>,
}

/// Reads a form; `None` if it is malformed.
pub(super) fn parse(content_type: &str, body: &[u8]) -> Option<Form> {
    let boundary = content_type.split("boundary=").nth(1)?;
    let boundary = boundary.split(';').next()?.trim().trim_matches('"');
    let delimiter = format!("--{boundary}").into_bytes();
    let mut form = Form::default();
    let mut rest = &body[find(body, &delimiter)? + delimiter.len()..];
    while !rest.starts_with(b"--") {
        let head_end = find(rest, b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&rest[..head_end]).into_owned();
        let content = &rest[head_end + 4..];
        let end = find(content, &delimiter)?;
        let data = content[..end].strip_suffix(b"\r\n")?;
        let field = attribute(&head, " name=")?;
        match attribute(&head, "filename=") {
            Some(name) => form.files.push(Part {
                field,
                name,
                content_type: header(&head, "content-type"),
                bytes: data.to_vec(),
            }),
            None if field == "payload_json" => form.payload_json = Some(data.to_vec()),
            None => form.others.push(field),
        }
        rest = &content[end + delimiter.len()..];
    }
    Some(form)
}

fn attribute(head: &str, key: &str) -> Option<String> {
    let value = head.split(key).nth(1)?.strip_prefix('"')?;
    Some(value.split('"').next()?.to_owned())
}

fn header(head: &str, name: &str) -> Option<String> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    lines
        .filter(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_owned())
        .next()
}

fn find(within: &[u8], needle: &[u8]) -> Option<usize> {
    within
        .windows(needle.len())
        .position(|window| window == needle)
}
