package websocket

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// A backend that refuses answers as any HTTP server does.
func TestRefused(t *testing.T) {
	for _, name := range []string{"WS", "WSS"} {
		t.Run(strings.ToLower(name), func(t *testing.T) {
			refuse := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				http.Error(w, "not you", http.StatusForbidden)
			})
			handler.Store(&refuse)
			_, response, err := dialer(t).Dial(os.Getenv(name), nil)
			if err == nil || response == nil {
				t.Fatal("no answer:", err)
			}
			body, _ := io.ReadAll(response.Body)
			if response.StatusCode != http.StatusForbidden || !strings.Contains(string(body), "not you") {
				t.Fatalf("%s with %q", response.Status, body)
			}
		})
	}
}

func TestManyAtOnce(t *testing.T) {
	through(t, websocket.Upgrader{}, echo, func(t *testing.T, dialer *websocket.Dialer, url string) {
		conns := make([]*websocket.Conn, 200)
		for i := range conns {
			conns[i], _ = dial(t, dialer, url)
		}
		for _, conn := range conns {
			same(t, conn, websocket.BinaryMessage, random(10000))
		}
		for _, conn := range conns {
			part(t, conn)
		}
	})
}

// The gateway relays frames and does not make others of them, not even of those with reserved bits and opcodes.
func TestFramesStayAsTheyAre(t *testing.T) {
	frames := slices.Concat(
		[]byte{0x01, 0x83, 1, 2, 3, 4, 'a' ^ 1, 'b' ^ 2, 'c' ^ 3}, // a first fragment
		[]byte{0x89, 0x80, 5, 6, 7, 8},                            // a ping between fragments
		[]byte{0x80, 0x80, 0, 0, 0, 0},                            // an empty last fragment
		[]byte{0xf2, 0xfe, 0, 1, 9, 9, 9, 9, 'z' ^ 9},             // reserved bits, a length in more bytes than it needs
		[]byte{0x8b, 0x80, 1, 1, 1, 1},                            // a reserved control frame
	)
	got := make(chan []byte, 1)
	backend := func(conn *websocket.Conn) error {
		// The first bytes come in one segment with those after them.
		raw := make([]byte, len(frames))
		_, err := io.ReadFull(conn.NetConn(), raw)
		got <- raw
		return err
	}
	through(t, websocket.Upgrader{}, backend, func(t *testing.T, dialer *websocket.Dialer, url string) {
		conn, _ := dial(t, dialer, url)
		_, err := conn.NetConn().Write(frames)
		must(t, err)
		if raw := <-got; !bytes.Equal(raw, frames) {
			t.Fatalf("% x", raw)
		}
	})
}

// What a backend says in the segment of its handshake must not get lost.
func TestFrameBesideTheHandshake(t *testing.T) {
	for _, name := range []string{"WS", "WSS"} {
		t.Run(strings.ToLower(name), func(t *testing.T) {
			serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				recorder := &together{ResponseWriter: w}
				conn, err := (&websocket.Upgrader{}).Upgrade(recorder, r, nil)
				if err != nil {
					return
				}
				defer conn.Close()
				conn.WriteMessage(websocket.TextMessage, []byte("at once"))
				deadline(conn)
				conn.ReadMessage()
			})
			handler.Store(&serve)
			conn, _ := dial(t, dialer(t), os.Getenv(name))
			_, message, err := conn.ReadMessage()
			must(t, err)
			if string(message) != "at once" {
				t.Fatalf("%q", message)
			}
		})
	}
}

// together holds back what is written first, until more comes.
type together struct{ http.ResponseWriter }

func (w *together) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := w.ResponseWriter.(http.Hijacker).Hijack()
	return &held{Conn: conn}, buffered, err
}

type held struct {
	net.Conn
	first []byte
	sent  bool
}

func (c *held) Write(bytes []byte) (int, error) {
	if c.sent {
		return c.Conn.Write(bytes)
	}
	if c.first == nil {
		c.first = slices.Clone(bytes)
		return len(bytes), nil
	}
	c.sent = true
	_, err := c.Conn.Write(append(c.first, bytes...))
	return len(bytes), err
}

// A client that does not read holds its backend up; the gateway does not take all there is.
func TestSlowReader(t *testing.T) {
	const pieces, size = 128, 1 << 20
	var written atomic.Int32
	backend := func(conn *websocket.Conn) error {
		message := random(size)
		for range pieces {
			conn.SetWriteDeadline(time.Now().Add(patience))
			if err := conn.WriteMessage(websocket.BinaryMessage, message); err != nil {
				return err
			}
			written.Add(1)
		}
		return echo(conn)
	}
	through(t, websocket.Upgrader{}, backend, func(t *testing.T, dialer *websocket.Dialer, url string) {
		written.Store(0)
		conn, _ := dial(t, dialer, url)
		time.Sleep(2 * time.Second)
		if held := written.Load(); held > pieces/2 {
			t.Errorf("%d MiB are on the way", held)
		}
		for range pieces {
			deadline(conn)
			_, message, err := conn.ReadMessage()
			must(t, err)
			if len(message) != size {
				t.Fatal(len(message), "bytes")
			}
		}
		part(t, conn)
	})
}
