//! The hostile answers that no correct server sends. Each ends its connection; those without end last until the client
//! goes away.

use crate::pages::Hostile;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\n";
/// What endless bodies repeat: 4 KiB of it a write.
const LINE: &[u8; 32] = b"<p>and so on, and on, and on</p>";

pub(super) async fn perform(what: Hostile, stream: &mut TcpStream) -> io::Result<()> {
    match what {
        Hostile::Drop => Ok(()),
        Hostile::Reset => stream.set_zero_linger(),
        Hostile::Silent => until_gone(stream).await,
        Hostile::HeadStalls => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/ht").await?;
            until_gone(stream).await
        }
        Hostile::HeadEndless => {
            stream.write_all(OK).await?;
            let mut number = 0u64;
            loop {
                stream.write_all(format!("x-filler-{number}: {}\r\n", "f".repeat(200)).as_bytes()).await?;
                number += 1;
            }
        }
        Hostile::EndlessChunks => {
            head(stream, "transfer-encoding: chunked").await?;
            let mut chunk = b"1000\r\n".to_vec();
            chunk.extend(LINE.repeat(128));
            chunk.extend_from_slice(b"\r\n");
            loop {
                stream.write_all(&chunk).await?;
            }
        }
        Hostile::EndlessLength => {
            head(stream, "content-length: 1000000000000").await?;
            let block = LINE.repeat(128);
            loop {
                stream.write_all(&block).await?;
            }
        }
        Hostile::Drip { bytes, every } => {
            head(stream, &format!("content-length: {bytes}")).await?;
            for at in 0..bytes {
                drip(stream, LINE[at % LINE.len()], every).await?;
            }
            stream.shutdown().await
        }
        Hostile::BodyStalls => {
            head(stream, "content-length: 1000").await?;
            stream.write_all(&LINE.repeat(8)).await?;
            until_gone(stream).await
        }
        Hostile::BodyShort => end(stream, "content-length: 1000", &LINE.repeat(8)).await,
        Hostile::BodyLong => end(stream, "content-length: 100", &LINE.repeat(8)).await,
        Hostile::ChunksCut => end(stream, "transfer-encoding: chunked", b"10\r\n<p>sixteen, it i").await,
        Hostile::ChunksWrong => end(stream, "transfer-encoding: chunked", b"zz\r\n<p>how many?</p>\r\n0\r\n\r\n").await,
        Hostile::NotHttp => {
            stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n\r\n").await?;
            stream.shutdown().await
        }
        Hostile::TwoLengths => end(stream, "content-length: 32\r\ncontent-length: 64", &LINE.repeat(2)).await,
        Hostile::UntilClose => end(stream, "connection: close", &LINE.repeat(8)).await,
    }
}

async fn head(stream: &mut TcpStream, line: &str) -> io::Result<()> {
    stream.write_all(OK).await?;
    stream.write_all(line.as_bytes()).await?;
    stream.write_all(b"\r\n\r\n").await
}

async fn end(stream: &mut TcpStream, line: &str, body: &[u8]) -> io::Result<()> {
    head(stream, line).await?;
    stream.write_all(body).await?;
    stream.shutdown().await
}

async fn drip(stream: &mut TcpStream, byte: u8, every: Duration) -> io::Result<()> {
    stream.write_all(&[byte]).await?;
    tokio::time::sleep(every).await;
    Ok(())
}

/// Waits until the client closes its side; what it sends meanwhile is thrown away.
async fn until_gone(stream: &mut TcpStream) -> io::Result<()> {
    let mut sink = [0; 1_024];
    while stream.read(&mut sink).await? > 0 {}
    Ok(())
}
