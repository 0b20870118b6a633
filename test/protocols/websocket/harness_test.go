// Package websocket sends WebSocket traffic through a gateway, with both ends in one process, so that a test sees what
// each of them sees. RELAY is where the gateway finds the backend, WS and WSS are the gateway's URLs, and CA_FILE is
// the authority of its certificate.
package websocket

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

const patience = 10 * time.Second

// The handler of the test that runs; tests run one after the other.
var handler atomic.Pointer[http.HandlerFunc]

func TestMain(m *testing.M) {
	listener, err := net.Listen("tcp", os.Getenv("RELAY"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		(*handler.Load())(w, r)
	}))
	os.Exit(m.Run())
}

// through runs a test over ws and over wss. The backend is a function that has the connection until it returns; its
// error fails the test.
func through(t *testing.T, upgrader websocket.Upgrader, backend func(*websocket.Conn) error,
	client func(*testing.T, *websocket.Dialer, string)) {
	for _, name := range []string{"WS", "WSS"} {
		t.Run(strings.ToLower(name), func(t *testing.T) {
			ended := make(chan error, 1000)
			var begun atomic.Int32
			serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				begun.Add(1)
				conn, err := upgrader.Upgrade(w, r, nil)
				if err != nil {
					ended <- err
					return
				}
				defer conn.Close()
				deadline(conn)
				ended <- backend(conn)
			})
			handler.Store(&serve)
			client(t, dialer(t), os.Getenv(name)+"/")
			for range begun.Load() {
				select {
				case err := <-ended:
					if err != nil {
						t.Error("backend:", err)
					}
				case <-time.After(patience):
					t.Fatal("the backend does not end")
				}
			}
		})
	}
}

func dialer(t *testing.T) *websocket.Dialer {
	pem, err := os.ReadFile(os.Getenv("CA_FILE"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	config := &tls.Config{RootCAs: roots, ServerName: "localhost"}
	return &websocket.Dialer{TLSClientConfig: config, HandshakeTimeout: patience}
}

func dial(t *testing.T, dialer *websocket.Dialer, url string) (*websocket.Conn, *http.Response) {
	t.Helper()
	conn, response, err := dialer.Dial(url, nil)
	if err != nil {
		t.Fatal("dial:", err)
	}
	t.Cleanup(func() { conn.Close() })
	deadline(conn)
	return conn, response
}

func deadline(conn *websocket.Conn) {
	conn.SetReadDeadline(time.Now().Add(patience))
	conn.SetWriteDeadline(time.Now().Add(patience))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// echo answers until the client closes with code 1000.
func echo(conn *websocket.Conn) error {
	for {
		kind, message, err := conn.ReadMessage()
		if websocket.IsCloseError(err, websocket.CloseNormalClosure) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := conn.WriteMessage(kind, message); err != nil {
			return err
		}
	}
}

func same(t *testing.T, conn *websocket.Conn, kind int, message []byte) {
	t.Helper()
	must(t, conn.WriteMessage(kind, message))
	gotKind, got, err := conn.ReadMessage()
	must(t, err)
	if gotKind != kind || !bytes.Equal(got, message) {
		t.Fatalf("%d bytes of kind %d came back as %d of kind %d", len(message), kind, len(got), gotKind)
	}
}

// part closes with code 1000 and waits for the answer.
func part(t *testing.T, conn *websocket.Conn) {
	t.Helper()
	farewell := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	must(t, conn.WriteMessage(websocket.CloseMessage, farewell))
	if _, _, err := conn.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		t.Fatal("closed with", err)
	}
}

func random(size int) []byte {
	message := make([]byte, size)
	source := rand.NewChaCha8([32]byte{1})
	source.Read(message)
	return message
}
