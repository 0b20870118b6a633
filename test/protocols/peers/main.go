// peers has the small servers and clients that the suites need beside the public tools.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
)

const usage = `usage:
  peers ports COUNT                 prints free ports of loopback
  peers origin ADDR                 serves HTTP/1.1: text, /big, and an echo for WebSockets
  peers tunnel ADDR TARGET CA_FILE  takes cleartext at ADDR to TLS at TARGET
  peers probe URL SECONDS           asks ten times a second; prints answers, failures and the longest wait in ms`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "ports":
		return ports(args[1])
	case len(args) == 2 && args[0] == "origin":
		return origin(args[1])
	case len(args) == 4 && args[0] == "tunnel":
		return tunnel(args[1], args[2], args[3])
	case len(args) == 3 && args[0] == "probe":
		return probe(args[1], args[2])
	}
	return errors.New(usage)
}

// ports stays below the range of outgoing connections, which could take a port again before its server does.
func ports(count string) error {
	wanted, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	taken := map[int]bool{}
	for tries := 0; len(taken) < wanted; tries++ {
		if tries > 1000 {
			return errors.New("no free ports")
		}
		port := 20000 + rand.IntN(10000)
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil || taken[port] {
			continue
		}
		listener.Close()
		taken[port] = true
		fmt.Println(port)
	}
	return nil
}

// A few cases of h2spec are skipped where an answer has no or hardly any body.
const text = "This is the origin behind the gateway; it says so in a little more than a few bytes.\n"

func origin(address string) error {
	mebibyte := make([]byte, 1<<20)
	mux := http.NewServeMux()
	mux.HandleFunc("/big", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(16*len(mebibyte)))
		for range 16 {
			if _, err := w.Write(mebibyte); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			echo(w, r)
			return
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		io.WriteString(w, text)
	})
	return http.ListenAndServe(address, mux)
}

func echo(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		CompressionMode:      websocket.CompressionContextTakeover,
		CompressionThreshold: 1,
	})
	if err != nil {
		return
	}
	defer conn.CloseNow()
	conn.SetReadLimit(64 << 20)
	for {
		kind, message, err := conn.Read(context.Background())
		if err != nil {
			return
		}
		// The library leaves this to its user (RFC 6455 section 8.1).
		if kind == websocket.MessageText && !utf8.Valid(message) {
			conn.Close(websocket.StatusInvalidFramePayloadData, "")
			return
		}
		if conn.Write(context.Background(), kind, message) != nil {
			return
		}
	}
}

// tunnel lets a client that knows no TLS use an HTTPS listener.
func tunnel(address, target, caFile string) error {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	config := &tls.Config{RootCAs: roots, ServerName: "localhost", NextProtos: []string{"http/1.1"}}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer client.Close()
			server, err := tls.Dial("tcp", target, config)
			if err != nil {
				return
			}
			defer server.Close()
			done := make(chan struct{})
			go func() {
				defer close(done)
				io.Copy(server, client)
				server.CloseWrite()
			}()
			io.Copy(client, server)
			client.(*net.TCPConn).CloseWrite()
			<-done
		}()
	}
}

// probe uses a new connection each time, for a full table of connections must not keep new clients out.
func probe(url, seconds string) error {
	duration, err := strconv.Atoi(seconds)
	if err != nil {
		return err
	}
	client := &http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{DisableKeepAlives: true},
	}
	var answers, failures int
	var longest time.Duration
	end := time.Now().Add(time.Duration(duration) * time.Second)
	for time.Now().Before(end) {
		start := time.Now()
		err := ask(client, url)
		longest = max(longest, time.Since(start))
		if err != nil {
			failures++
			fmt.Fprintln(os.Stderr, "probe:", err)
		} else {
			answers++
		}
		time.Sleep(100 * time.Millisecond)
	}
	fmt.Println(answers, failures, longest.Milliseconds())
	return nil
}

func ask(client *http.Client, url string) error {
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || string(body) != text {
		return fmt.Errorf("%s with %d bytes", response.Status, len(body))
	}
	return nil
}
