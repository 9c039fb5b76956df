-- SPDX-License-Identifier: MIT
-- library.lua - what the façade of LuaSec calls of OpenSSL itself: settings of contexts, certificates, and what can be
-- asked about a connection. The core has loaded the library, and initialised it.

local ffi = require "ffi"
require "moonpark.core"

ffi.cdef [[
  unsigned long ERR_get_error(void);
  void ERR_clear_error(void);
  const char *ERR_reason_error_string(unsigned long);

  void *BIO_new(const void *);
  const void *BIO_s_mem(void);
  void *BIO_new_mem_buf(const void *, int);
  long BIO_ctrl(void *, int, long, void *);
  int BIO_free(void *);

  int SSL_CTX_use_certificate_chain_file(void *, const char *);
  int SSL_CTX_use_PrivateKey(void *, void *);
  int SSL_CTX_check_private_key(const void *);
  int SSL_CTX_load_verify_locations(void *, const char *, const char *);
  int SSL_CTX_set_cipher_list(void *, const char *);
  int SSL_CTX_set_ciphersuites(void *, const char *);
  uint64_t SSL_CTX_set_options(void *, uint64_t);
  void SSL_CTX_set_verify_depth(void *, int);
  int SSL_CTX_set0_tmp_dh_pkey(void *, void *);
  long SSL_CTX_ctrl(void *, int, long, void *);
  void *SSL_CTX_get_cert_store(const void *);
  void *SSL_CTX_get0_param(void *);
  int X509_VERIFY_PARAM_set_purpose(void *, int);
  int X509_STORE_set_flags(void *, unsigned long);
  void *PEM_read_bio_PrivateKey(void *, void *, void *, void *);
  void *PEM_read_bio_Parameters(void *, void *);
  void EVP_PKEY_free(void *);
  int OBJ_sn2nid(const char *);
  struct moonpark_luasec_curve { int nid; const char *comment; };
  size_t EC_get_builtin_curves(struct moonpark_luasec_curve *, size_t);

  void *SSL_get0_param(void *);
  int SSL_CTX_dane_enable(void *);
  unsigned long SSL_CTX_dane_set_flags(void *, unsigned long);
  int SSL_dane_enable(void *, const char *);
  int SSL_dane_tlsa_add(void *, uint8_t, uint8_t, uint8_t, const unsigned char *, size_t);
  long moonpark_luasec_peek(int, void *, size_t, int) __asm__("recv");
  int X509_VERIFY_PARAM_set1_host(void *, const char *, size_t);
  int X509_VERIFY_PARAM_set1_ip(void *, const unsigned char *, size_t);
  void SSL_set_verify(void *, int, void *);
  long SSL_get_verify_result(const void *);
  long SSL_ctrl(void *, int, long, void *);
  int SSL_has_pending(const void *);
  const void *SSL_get_current_cipher(const void *);
  char *SSL_CIPHER_description(const void *, char *, int);
  int SSL_CIPHER_get_bits(const void *, int *);
  const char *SSL_get_version(const void *);
  const char *SSL_get_servername(const void *, int);
  void SSL_get0_alpn_selected(const void *, const unsigned char **, unsigned *);
  size_t SSL_get_finished(const void *, void *, size_t);
  size_t SSL_get_peer_finished(const void *, void *, size_t);
  int SSL_export_keying_material(void *, unsigned char *, size_t, const char *, size_t, const unsigned char *, size_t,
    int);
  void *SSL_get1_peer_certificate(const void *);
  void *SSL_get_peer_cert_chain(const void *);
  int SSL_is_server(const void *);
  int OPENSSL_sk_num(const void *);
  void *OPENSSL_sk_value(const void *, int);
  const char *X509_verify_cert_error_string(long);

  struct moonpark_luasec_x509;
  struct moonpark_luasec_x509 *PEM_read_bio_X509(void *, void *, void *, void *);
  int PEM_write_bio_X509(void *, struct moonpark_luasec_x509 *);
  int X509_up_ref(void *);
  void X509_free(struct moonpark_luasec_x509 *);
  int X509_digest(struct moonpark_luasec_x509 *, const void *, unsigned char *, unsigned *);
  const void *EVP_get_digestbyname(const char *);
  void *X509_get_subject_name(struct moonpark_luasec_x509 *);
  void *X509_get_issuer_name(struct moonpark_luasec_x509 *);
  int X509_NAME_entry_count(const void *);
  void *X509_NAME_get_entry(const void *, int);
  void *X509_NAME_ENTRY_get_object(const void *);
  void *X509_NAME_ENTRY_get_data(const void *);
  int OBJ_obj2txt(char *, int, const void *, int);
  int OBJ_obj2nid(const void *);
  const char *OBJ_nid2sn(int);
  const char *OBJ_nid2ln(int);
  int ASN1_STRING_length(const void *);
  const unsigned char *ASN1_STRING_get0_data(const void *);
  int ASN1_STRING_to_UTF8(unsigned char **, const void *);
  void CRYPTO_free(void *, const char *, int);
  void *X509_get_serialNumber(struct moonpark_luasec_x509 *);
  void *ASN1_INTEGER_to_BN(const void *, void *);
  char *BN_bn2hex(const void *);
  void BN_free(void *);
  const void *X509_get0_notBefore(struct moonpark_luasec_x509 *);
  const void *X509_get0_notAfter(struct moonpark_luasec_x509 *);
  int ASN1_TIME_print(void *, const void *);
  int X509_cmp_time(const void *, long *);
  int X509_get_signature_nid(struct moonpark_luasec_x509 *);
  void *X509_get_pubkey(struct moonpark_luasec_x509 *);
  int PEM_write_bio_PUBKEY(void *, void *);
  int EVP_PKEY_get_base_id(const void *);
  int EVP_PKEY_get_bits(const void *);

  void *X509_STORE_new(void);
  int X509_STORE_add_cert(void *, void *);
  void X509_STORE_free(void *);
  void *X509_STORE_CTX_new(void);
  int X509_STORE_CTX_init(void *, void *, void *, void *);
  int X509_STORE_CTX_get_error(void *);
  void X509_STORE_CTX_free(void *);
  int X509_verify_cert(void *);
  void *OPENSSL_sk_new_null(void);
  int OPENSSL_sk_push(void *, const void *);
  void OPENSSL_sk_free(void *);

  int X509_get_ext_by_NID(struct moonpark_luasec_x509 *, int, int);
  void *X509_get_ext(struct moonpark_luasec_x509 *, int);
  void *X509_EXTENSION_get_object(void *);
  void *X509V3_EXT_d2i(void *);
  struct moonpark_luasec_name { int type; void *value; };
  void GENERAL_NAME_free(void *);
  const char *moonpark_luasec_ntop(int, const void *, char *, unsigned) __asm__("inet_ntop");
]]

local M = {}

M.crypto, M.ssl = ffi.load "libcrypto.so.3", ffi.load "libssl.so.3"

--- OpenSSL's word for what has just failed.
---@return string
function M.reason()
  local word = M.crypto.ERR_reason_error_string(M.crypto.ERR_get_error())
  M.crypto.ERR_clear_error()
  return word ~= nil and ffi.string(word) or "(null)"
end

local data = ffi.new "char *[1]"

--- What fill(bio) writes; nil if it returns 0.
---@param fill fun(bio: ffi.cdata*): integer
---@return string|nil
function M.written(fill)
  local bio = M.crypto.BIO_new(M.crypto.BIO_s_mem())
  if bio == nil then return nil end
  local ok = fill(bio)
  local n = M.crypto.BIO_ctrl(bio, 3, 0, data)
  local text = ok ~= 0 and ffi.string(data[0], n) or nil
  M.crypto.BIO_free(bio)
  return text
end

--- read(bio) over a text -> what that returns
function M.read(text, read)
  local bio = M.crypto.BIO_new_mem_buf(text, #text)
  if bio == nil then return nil end
  local found = read(bio)
  M.crypto.BIO_free(bio)
  return found
end

return M
