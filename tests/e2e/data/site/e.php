<html><head><title>Leaf e.php</title></head><body><h1>Leaf e.php</h1><ul>
<li><a href="/index.html">x</a>
</ul></body></html>
