//! A picture as a message: the file goes to the homeserver's media first, the event names it.

use matrix_sdk::{Error, ruma::api::client::media::create_content};
use serde_json::{Value, json};

use super::{
    Matrix,
    error::{self, MatrixFault},
    send::set,
};
use crate::{domain::outbox::Picture, ports::ChatError};

const PNG_MIME: &str = "image/png";

/// Uploads a picture, encrypted for an encrypted room, and gives the content of its message. Uploaded twice it is two
/// files, of which nobody sees the one that no message names.
pub(super) async fn upload_picture(
    matrix: &Matrix,
    place: &str,
    picture: &Picture,
) -> Result<Value, ChatError> {
    let room = matrix.joined(place).await?;
    // What is forbidden here is the file and not the room, and the post does without it.
    let failed = |error: &Error| match error::fault(error) {
        MatrixFault::Forbidden { reason } | MatrixFault::Lasting { reason, .. } => refused(&reason),
        _ => error::failed(matrix, "uploading a picture", error),
    };
    let encryption = room.latest_encryption_state().await;
    let encryption = encryption.map_err(|error| {
        error::failed(
            matrix,
            &format!("asking whether {place} is encrypted"),
            &error,
        )
    })?;
    check_size(matrix, picture).await?;
    let (field, file) = if encryption.is_encrypted() {
        let mut bytes = picture.png.as_slice();
        let file = matrix
            .client
            .upload_encrypted_file(&mut bytes)
            .await
            .map_err(|error| failed(&error))?;
        let file = serde_json::to_value(&file).map_err(|error| failed(&error.into()))?;
        ("file", file)
    } else {
        let mut request = create_content::v3::Request::new(picture.png.clone());
        request.content_type = Some(PNG_MIME.into());
        request.filename = Some(picture.name.clone());
        let answer = matrix
            .client
            .send(request)
            .await
            .map_err(|error| failed(&error.into()))?;
        ("url", json!(answer.content_uri))
    };
    let mut content = content(picture);
    set(&mut content, field, file);
    Ok(content)
}

/// Refuses a picture that is larger than the homeserver takes. Some close the connection in the middle of such a file,
/// which looks as if they were away. One that doesn't say how much it takes is tried.
async fn check_size(matrix: &Matrix, picture: &Picture) -> Result<(), ChatError> {
    let Ok(most) = matrix.client.load_or_fetch_max_upload_size().await else {
        return Ok(());
    };
    let size = picture.png.len();
    if u64::from(most) >= u64::try_from(size).unwrap_or(u64::MAX) {
        return Ok(());
    }
    Err(refused(&format!(
        "it has {size} bytes, and the homeserver takes {most}"
    )))
}

fn refused(reason: &str) -> ChatError {
    ChatError::Refused {
        reason: format!("uploading a picture: {reason}"),
        remedy: "look whether the homeserver takes files of this account, and how large".into(),
    }
}

/// All but where the file is. Beside a file's name the body is what is said of it.
fn content(picture: &Picture) -> Value {
    let info = json!({ "mimetype": PNG_MIME, "w": picture.width, "h": picture.height, "size": picture.png.len() });
    json!({ "msgtype": "m.image", "body": picture.alt, "filename": picture.name, "info": info })
}
