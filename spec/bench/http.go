// SPDX-License-Identifier: MIT

// The HTTP server in Go's net/http, with the routes of http_moonpark.lua.
//
// usage: http [CERT KEY]; prints "listening PORT" on stdout. With CERT and KEY it speaks TLS.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
)

type user struct {
	ID       string `json:"id"`
	Page     string `json:"page"`
	Language string `json:"language"`
	Session  string `json:"session"`
	Scores   []int  `json:"scores"`
}

func answerText(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, text)
}

func answerJSON(w http.ResponseWriter, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		http.Error(w, err.Error(), 500)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(body)
}

func answerUser(w http.ResponseWriter, r *http.Request) {
	session, err := r.Cookie("session")
	if err != nil {
		http.Error(w, err.Error(), 400)
		return
	}
	answerJSON(w, user{
		ID:       strings.TrimPrefix(r.URL.Path, "/users/"),
		Page:     r.URL.Query().Get("page"),
		Language: r.Header.Get("Accept-Language"),
		Session:  session.Value,
		Scores:   []int{3, 14, 159},
	})
}

func answerForm(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), 400)
		return
	}
	fields := make(map[string]string, len(r.PostForm))
	for name := range r.PostForm {
		fields[name] = r.PostForm.Get(name)
	}
	answerJSON(w, fields)
}

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) {
		answerText(w, "Hello, World!")
	})
	mux.HandleFunc("/hello/", func(w http.ResponseWriter, r *http.Request) {
		answerText(w, "Hello, "+strings.TrimPrefix(r.URL.Path, "/hello/")+"!")
	})
	mux.HandleFunc("/users/", answerUser)
	mux.HandleFunc("/form", answerForm)
	mux.HandleFunc("/json", func(w http.ResponseWriter, r *http.Request) {
		answerJSON(w, map[string]string{"message": "Hello, World!"})
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Write(body)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening", listener.Addr().(*net.TCPAddr).Port)
	if len(os.Args) == 3 {
		log.Fatal(http.ServeTLS(listener, mux, os.Args[1], os.Args[2]))
	}
	log.Fatal(http.Serve(listener, mux))
}
