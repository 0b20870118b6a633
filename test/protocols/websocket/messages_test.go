package websocket

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

func TestText(t *testing.T) {
	through(t, websocket.Upgrader{}, echo, func(t *testing.T, dialer *websocket.Dialer, url string) {
		conn, _ := dial(t, dialer, url)
		for _, message := range []string{"", "hello", "Grüße, 世界 🎉", strings.Repeat("x", 126), strings.Repeat("y", 65536)} {
			same(t, conn, websocket.TextMessage, []byte(message))
		}
		part(t, conn)
	})
}

func TestBinary(t *testing.T) {
	through(t, websocket.Upgrader{}, echo, func(t *testing.T, dialer *websocket.Dialer, url string) {
		conn, _ := dial(t, dialer, url)
		for _, size := range []int{0, 1, 125, 126, 65535, 65536, 1 << 20} {
			same(t, conn, websocket.BinaryMessage, random(size))
		}
		part(t, conn)
	})
}

func TestLarge(t *testing.T) {
	through(t, websocket.Upgrader{}, echo, func(t *testing.T, dialer *websocket.Dialer, url string) {
		conn, _ := dial(t, dialer, url)
		message := random(16 << 20)
		// An echo in one piece is written after all is read, so neither end waits for the other.
		same(t, conn, websocket.BinaryMessage, message)
		part(t, conn)
	})
}

func TestFragmented(t *testing.T) {
	through(t, websocket.Upgrader{}, echo, func(t *testing.T, dialer *websocket.Dialer, url string) {
		// The library sends a fragment for each full buffer.
		dialer.WriteBufferSize = 100
		conn, _ := dial(t, dialer, url)
		message := random(5000)
		writer, err := conn.NextWriter(websocket.BinaryMessage)
		must(t, err)
		for piece := range slices.Chunk(message, 333) {
			_, err := writer.Write(piece)
			must(t, err)
			must(t, conn.WriteControl(websocket.PingMessage, []byte("between"), time.Now().Add(patience)))
		}
		must(t, writer.Close())
		_, got, err := conn.ReadMessage()
		must(t, err)
		if !bytes.Equal(got, message) {
			t.Fatalf("%d bytes came back as %d", len(message), len(got))
		}
		part(t, conn)
	})
}

func TestPingOfClient(t *testing.T) {
	through(t, websocket.Upgrader{}, echo, func(t *testing.T, dialer *websocket.Dialer, url string) {
		conn, _ := dial(t, dialer, url)
		var pongs []string
		conn.SetPongHandler(func(payload string) error {
			pongs = append(pongs, payload)
			return nil
		})
		for _, payload := range []string{"", "one", strings.Repeat("p", 125)} {
			must(t, conn.WriteMessage(websocket.PingMessage, []byte(payload)))
		}
		same(t, conn, websocket.TextMessage, []byte("after"))
		if len(pongs) != 3 || pongs[1] != "one" || len(pongs[2]) != 125 {
			t.Fatal("pongs", pongs)
		}
		part(t, conn)
	})
}

func TestPingOfBackend(t *testing.T) {
	backend := func(conn *websocket.Conn) error {
		got := ""
		conn.SetPongHandler(func(payload string) error {
			got = payload
			return nil
		})
		if err := conn.WriteMessage(websocket.PingMessage, []byte("are you there")); err != nil {
			return err
		}
		if err := conn.WriteMessage(websocket.TextMessage, []byte("go on")); err != nil {
			return err
		}
		if err := echo(conn); err != nil {
			return err
		}
		if got != "are you there" {
			return fmt.Errorf("pong %q", got)
		}
		return nil
	}
	through(t, websocket.Upgrader{}, backend, func(t *testing.T, dialer *websocket.Dialer, url string) {
		conn, _ := dial(t, dialer, url)
		_, _, err := conn.ReadMessage()
		must(t, err)
		part(t, conn)
	})
}

func TestCompressed(t *testing.T) {
	upgrader := websocket.Upgrader{EnableCompression: true}
	through(t, upgrader, echo, func(t *testing.T, dialer *websocket.Dialer, url string) {
		dialer.EnableCompression = true
		conn, response := dial(t, dialer, url)
		if got := response.Header.Get("Sec-WebSocket-Extensions"); !strings.Contains(got, "permessage-deflate") {
			t.Fatalf("extensions %q", got)
		}
		same(t, conn, websocket.TextMessage, []byte(strings.Repeat("compress me ", 10000)))
		same(t, conn, websocket.BinaryMessage, random(100000))
		part(t, conn)
	})
}

var codes = []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 1012, 1013, 3000, 3999, 4000, 4999}

func TestCloseOfClient(t *testing.T) {
	for _, code := range codes {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			backend := func(conn *websocket.Conn) error { return closedWith(conn, code) }
			through(t, websocket.Upgrader{}, backend, func(t *testing.T, dialer *websocket.Dialer, url string) {
				conn, _ := dial(t, dialer, url)
				must(t, conn.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(code, "why")))
				// The library answers with the code and no reason.
				var closed *websocket.CloseError
				if _, _, err := conn.ReadMessage(); !errors.As(err, &closed) || closed.Code != code {
					t.Fatal("answered with", err)
				}
			})
		})
	}
}

func TestCloseOfBackend(t *testing.T) {
	for _, code := range codes {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			backend := func(conn *websocket.Conn) error {
				farewell := websocket.FormatCloseMessage(code, "why")
				if err := conn.WriteMessage(websocket.CloseMessage, farewell); err != nil {
					return err
				}
				var closed *websocket.CloseError
				if _, _, err := conn.ReadMessage(); !errors.As(err, &closed) || closed.Code != code {
					return fmt.Errorf("answered with %w", err)
				}
				return nil
			}
			through(t, websocket.Upgrader{}, backend, func(t *testing.T, dialer *websocket.Dialer, url string) {
				conn, _ := dial(t, dialer, url)
				must(t, closedWith(conn, code))
			})
		})
	}
}

func closedWith(conn *websocket.Conn, code int) error {
	_, _, err := conn.ReadMessage()
	var closed *websocket.CloseError
	if !errors.As(err, &closed) || closed.Code != code || closed.Text != "why" {
		return fmt.Errorf("closed with %w instead of %d", err, code)
	}
	return nil
}

func TestSubprotocols(t *testing.T) {
	for _, test := range []struct {
		offered []string
		chosen  string
	}{{nil, ""}, {[]string{"chat.v1"}, ""}, {[]string{"chat.v1", "chat.v2"}, "chat.v2"}} {
		t.Run(strings.Join(test.offered, " "), func(t *testing.T) {
			upgrader := websocket.Upgrader{Subprotocols: []string{"chat.v2"}}
			through(t, upgrader, echo, func(t *testing.T, dialer *websocket.Dialer, url string) {
				dialer.Subprotocols = test.offered
				conn, _ := dial(t, dialer, url)
				if conn.Subprotocol() != test.chosen {
					t.Fatalf("subprotocol %q", conn.Subprotocol())
				}
				part(t, conn)
			})
		})
	}
}
