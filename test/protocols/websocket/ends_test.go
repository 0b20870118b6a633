package websocket

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/gorilla/websocket"
)

// A client that sends no more may still be sent to.
func TestHalfClosedClient(t *testing.T) {
	backend := func(conn *websocket.Conn) error {
		if _, _, err := conn.ReadMessage(); err != nil {
			return err
		}
		if _, err := conn.NetConn().Read(make([]byte, 1)); err != io.EOF {
			return fmt.Errorf("instead of the end: %w", err)
		}
		return conn.WriteMessage(websocket.TextMessage, []byte("late"))
	}
	through(t, websocket.Upgrader{}, backend, func(t *testing.T, dialer *websocket.Dialer, url string) {
		conn, _ := dial(t, dialer, url)
		must(t, conn.WriteMessage(websocket.TextMessage, []byte("last")))
		must(t, conn.NetConn().(interface{ CloseWrite() error }).CloseWrite())
		_, message, err := conn.ReadMessage()
		must(t, err)
		if string(message) != "late" {
			t.Fatalf("%q", message)
		}
	})
}

// A backend that sends no more may still be sent to.
func TestHalfClosedBackend(t *testing.T) {
	backend := func(conn *websocket.Conn) error {
		if err := conn.WriteMessage(websocket.TextMessage, []byte("last")); err != nil {
			return err
		}
		if err := conn.NetConn().(*net.TCPConn).CloseWrite(); err != nil {
			return err
		}
		_, message, err := conn.ReadMessage()
		if err == nil && string(message) != "late" {
			err = fmt.Errorf("%q", message)
		}
		return err
	}
	through(t, websocket.Upgrader{}, backend, func(t *testing.T, dialer *websocket.Dialer, url string) {
		conn, _ := dial(t, dialer, url)
		_, _, err := conn.ReadMessage()
		must(t, err)
		if _, err := conn.NetConn().Read(make([]byte, 1)); err != io.EOF {
			t.Fatal("instead of the end:", err)
		}
		must(t, conn.WriteMessage(websocket.TextMessage, []byte("late")))
	})
}

// abort ends a connection by a reset.
func abort(conn net.Conn) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
}

func TestAbortedClient(t *testing.T) {
	backend := func(conn *websocket.Conn) error {
		conn.ReadMessage()
		if _, _, err := conn.ReadMessage(); err == nil || isTimeout(err) {
			return fmt.Errorf("instead of the end: %w", err)
		}
		return nil
	}
	through(t, websocket.Upgrader{}, backend, func(t *testing.T, dialer *websocket.Dialer, url string) {
		conn, _ := dial(t, dialer, url)
		must(t, conn.WriteMessage(websocket.TextMessage, []byte("last")))
		abort(conn.NetConn())
	})
}

func TestAbortedBackend(t *testing.T) {
	backend := func(conn *websocket.Conn) error {
		conn.ReadMessage()
		abort(conn.NetConn())
		return nil
	}
	through(t, websocket.Upgrader{}, backend, func(t *testing.T, dialer *websocket.Dialer, url string) {
		conn, _ := dial(t, dialer, url)
		must(t, conn.WriteMessage(websocket.TextMessage, []byte("last")))
		if _, _, err := conn.ReadMessage(); err == nil || isTimeout(err) {
			t.Fatal("instead of the end:", err)
		}
	})
}

func isTimeout(err error) bool {
	var failure net.Error
	return errors.As(err, &failure) && failure.Timeout()
}
